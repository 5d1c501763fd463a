"""What long jobs tell while they run."""

from __future__ import annotations

import logging
import sys


class _Stderr(logging.Handler):
    """Writes to what standard error is at the moment: while a progress bar is shown, to the lines above it."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(self.format(record) + "\n")


def log_to_stderr() -> None:
    """Show looksay's own progress on standard error, and of other libraries only warnings.

    Called before they are imported, as some set up logging of their own.
    """
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=[_Stderr()]
    )
    logging.getLogger("looksay").setLevel(logging.INFO)
