"""Answers that say why there is no other."""

from __future__ import annotations

from starlette.responses import JSONResponse

RETRY = 1  # seconds after which a client that was turned away may try again


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return an answer that says why there is none."""
    return JSONResponse({"detail": detail}, status, headers)


def busy() -> JSONResponse:
    """Return the answer of a server that is full."""
    return problem(503, "the server is busy; try again soon", {"Retry-After": str(RETRY)})


def mistake(*_: object) -> JSONResponse:
    """Return the answer to a request on which the server failed, without its inside."""
    return problem(500, "the server made a mistake; its log says more")


def too_large(most: int) -> str:
    """Return what is said of too many bytes."""
    return f"an upload has at most {most:,} bytes"
