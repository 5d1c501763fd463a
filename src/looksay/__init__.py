"""looksay: a CNN looks at an image, an LSTM says it.

>>> import looksay
>>> looksay.caption("photo.jpg")  # doctest: +SKIP
'a brown dog runs through the grass'
"""

from typing import TYPE_CHECKING

from looksay.decoding.options import DecodingOptions
from looksay.errors import (
    BundleError,
    DataError,
    ImageError,
    JobError,
    LooksayError,
    LowConfidence,
    MetricError,
    MissingExtra,
    OptionError,
    ParityError,
    RecipeError,
    RunError,
)
from looksay.types import Caption, ImageSpec, ModelSpec, Tag

if TYPE_CHECKING:
    from looksay.captioner import Captioner, caption, load
    from looksay.runtime.bundle import Bundle

__version__ = "0.1.0"

__all__ = [
    "Bundle",
    "BundleError",
    "Caption",
    "Captioner",
    "DataError",
    "DecodingOptions",
    "ImageError",
    "ImageSpec",
    "JobError",
    "LooksayError",
    "LowConfidence",
    "MetricError",
    "MissingExtra",
    "ModelSpec",
    "OptionError",
    "ParityError",
    "RecipeError",
    "RunError",
    "Tag",
    "__version__",
    "caption",
    "load",
]

_LAZY = dict.fromkeys(("Captioner", "caption", "load"), "looksay.captioner") | {"Bundle": "looksay.runtime.bundle"}


def __getattr__(name: str) -> object:
    """Import NumPy and ONNX Runtime at their first use, not with ``import looksay``."""
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'looksay' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
