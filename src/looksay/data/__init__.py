"""Data sets of images and captions."""

from typing import TYPE_CHECKING, Any

from looksay.data.records import ALL, SPLITS, Dataset, ReadOptions, Record

if TYPE_CHECKING:
    from looksay.data.layouts.detect import read

__all__ = ["ALL", "SPLITS", "Dataset", "ReadOptions", "Record", "read"]


def __getattr__(name: str) -> Any:
    """Import the layouts, with numpy and Pillow, when they are used: the command line only needs `ReadOptions`."""
    if name == "read":
        from looksay.data.layouts.detect import read

        return read
    raise AttributeError(f"module 'looksay.data' has no attribute {name!r}")
