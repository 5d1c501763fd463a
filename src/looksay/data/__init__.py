"""Data sets of images and captions."""

from looksay.data.layouts.detect import read
from looksay.data.records import ALL, SPLITS, Dataset, ReadOptions, Record

__all__ = ["ALL", "SPLITS", "Dataset", "ReadOptions", "Record", "read"]
