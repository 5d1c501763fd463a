"""The errors that looksay raises: one tree, each class with a second, standard parent.

::

    LooksayError
    ├── ImageError (with LowConfidence), OptionError, BundleError, DataError, RecipeError  (ValueError)
    ├── JobError, RunError, ParityError, MetricError                  (RuntimeError)
    └── MissingExtra                                                  (ImportError)

Each message names what is wrong, with the value or the file, and the next step.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class LooksayError(Exception):
    """Base class of all errors that looksay raises."""


class ImageError(LooksayError, ValueError):
    """An image cannot be found, read or decoded."""


class LowConfidence(ImageError):
    """The caption of an image is left out, because its confidence is below ``min_confidence``."""


class OptionError(LooksayError, ValueError):
    """An option is unknown, of the wrong type or out of range."""


class BundleError(LooksayError, ValueError):
    """A model folder is missing, incomplete or altered."""


class DataError(LooksayError, ValueError):
    """A data set is broken or its layout is not recognised."""


class RecipeError(LooksayError, ValueError):
    """A recipe has an unknown key or an invalid value."""


class JobError(LooksayError, RuntimeError):
    """Captions cannot be written to a file, or searched in it."""


class RunError(LooksayError, RuntimeError):
    """A training run cannot start, resume or be exported."""


class ParityError(LooksayError, RuntimeError):
    """The captions of an exported model differ from those of the trained model."""


class MetricError(LooksayError, RuntimeError):
    """A metric that runs in Java cannot run."""


class MissingExtra(LooksayError, ImportError):
    """An optional part of looksay, the extra that `doing` ("Training") needs, is not installed."""

    def __init__(self, doing: str, extra: str) -> None:
        super().__init__(f'{doing} needs more than the base install: pip install "looksay[{extra}]"')


@contextmanager
def needs(doing: str, extra: str) -> Iterator[None]:
    """Turn the import of a package that is not installed into a `MissingExtra`."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(doing, extra) from error


def require(condition: bool, message: str) -> None:
    """Raise an `OptionError` unless `condition` holds."""
    if not condition:
        raise OptionError(message)
