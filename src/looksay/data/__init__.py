"""Images + captions → records."""

from looksay.data.layouts import read
from looksay.data.records import SPLITS, Dataset, ReadOptions, Record

__all__ = ["SPLITS", "Dataset", "ReadOptions", "Record", "read"]
