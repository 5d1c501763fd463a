"""Images + captions → records."""

from looksay.data.records import SPLITS, Dataset, Record, read

__all__ = ["SPLITS", "Dataset", "Record", "read"]
