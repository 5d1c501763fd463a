"""Everything that can go wrong, as one tree.

::

    LooksayError
    ├── ImageError        (ValueError)    an image cannot be found, read or decoded
    ├── OptionError       (ValueError)    a search option is out of its range
    ├── BundleError       (ValueError)    a model folder is missing, incomplete or altered
    ├── DataError         (ValueError)    a data set is not recognised or is broken
    ├── RecipeError       (ValueError)    a recipe has an unknown key or a bad value
    ├── JobError          (RuntimeError)  captions cannot be added to a file, or be found in it
    ├── RunError          (RuntimeError)  a training run cannot start, resume or be exported
    ├── ParityError       (RuntimeError)  an exported model does not say what the trained one says
    ├── MetricError       (RuntimeError)  a metric that runs in Java cannot run
    └── MissingExtra      (ImportError)   an optional part of looksay is not installed

Each message names the file, what is wrong with it and the next step.
"""


class LooksayError(Exception):
    """Any error that looksay raises on purpose."""


class ImageError(LooksayError, ValueError):
    """An image cannot be found, read or decoded."""


class OptionError(LooksayError, ValueError):
    """A search option is out of its range."""


class BundleError(LooksayError, ValueError):
    """A model folder is missing, incomplete or altered."""


class DataError(LooksayError, ValueError):
    """A data set is not recognised or is broken."""


class RecipeError(LooksayError, ValueError):
    """A recipe has an unknown key or a bad value."""


class JobError(LooksayError, RuntimeError):
    """Captions cannot be added to a file, or be found in it."""


class RunError(LooksayError, RuntimeError):
    """A training run cannot start, resume or be exported."""


class ParityError(LooksayError, RuntimeError):
    """An exported model does not say what the trained model says."""


class MetricError(LooksayError, RuntimeError):
    """A metric that runs in Java cannot run."""


class MissingExtra(LooksayError, ImportError):
    """An optional part of looksay is not installed.

    Parameters
    ----------
    doing : str
        What the user wanted, as the start of a sentence: ``"Training"``.
    extra : str
        The name of the extra that brings it: ``"train"``.
    """

    def __init__(self, doing: str, extra: str) -> None:
        super().__init__(f'{doing} needs more than the base install: pip install "looksay[{extra}]"')


def require(condition: bool, message: str) -> None:
    """Raise an `OptionError` unless `condition` holds."""
    if not condition:
        raise OptionError(message)
