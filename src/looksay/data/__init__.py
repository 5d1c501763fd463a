"""Images + captions → records."""

from looksay.data.layouts import read
from looksay.data.records import SPLITS, Dataset, Record

__all__ = ["SPLITS", "Dataset", "Record", "read"]
