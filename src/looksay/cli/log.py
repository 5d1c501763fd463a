"""What long jobs tell while they run."""

from __future__ import annotations

import logging


def log_to_stderr() -> None:
    """Show looksay's own progress on standard error, and of other libraries only warnings.

    Called before they are imported, as some set up logging of their own.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("looksay").setLevel(logging.INFO)
