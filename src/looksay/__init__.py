"""looksay: a CNN looks at an image, an LSTM says it.

>>> import looksay
>>> looksay.caption("photo.jpg")  # doctest: +SKIP
'a brown dog runs through the grass'
"""

from typing import TYPE_CHECKING, Any

from looksay.errors import (
    BundleError,
    DataError,
    ImageError,
    LooksayError,
    MetricError,
    MissingExtra,
    OptionError,
    ParityError,
    RecipeError,
    RunError,
)
from looksay.types import Caption

if TYPE_CHECKING:
    from looksay.captioner import Captioner, caption, load

__version__ = "0.1.0"

__all__ = [
    "BundleError",
    "Caption",
    "Captioner",
    "DataError",
    "ImageError",
    "LooksayError",
    "MetricError",
    "MissingExtra",
    "OptionError",
    "ParityError",
    "RecipeError",
    "RunError",
    "__version__",
    "caption",
    "load",
]


def __getattr__(name: str) -> Any:
    """Import numpy and ONNX Runtime when they are first wanted, not with ``import looksay``."""
    if name in {"Captioner", "caption", "load"}:
        from looksay import captioner

        return getattr(captioner, name)
    raise AttributeError(f"module 'looksay' has no attribute {name!r}")
