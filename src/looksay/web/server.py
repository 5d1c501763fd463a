"""The application on a port, until it is told to end."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import warnings
from typing import Any

import click
import uvicorn
from PIL import Image
from uvicorn.protocols.http.h11_impl import H11Protocol

from looksay.captioner import Captioner
from looksay.errors import OptionError
from looksay.web import app
from looksay.web.guard import access
from looksay.web.limits import Limits

_CONNECTIONS = 1000
_HEADERS = 10  # seconds that a client has to say what it wants


class _Impatient(H11Protocol):
    """Ends a connection whose request has not come, so that clients that say nothing do not hold all of them."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._deadline:
            self._deadline.cancel()

    def _expect(self) -> None:
        """Begin to wait for a request, or cease to."""
        has_one = self.cycle is not None and not self.cycle.response_complete
        if has_one and self._deadline:
            self._deadline.cancel()
            self._deadline = None
        elif not has_one and not self._deadline:
            self._deadline = self.loop.call_later(_HEADERS, self.transport.close)


def run(captioner: Captioner, limits: Limits, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM, and then finish what is in flight.

    Raises
    ------
    OptionError
        If the address cannot be listened at.
    """
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # images.read refuses such pictures itself
    for ending in (signal.SIGINT, signal.SIGTERM):  # uvicorn hears them, and raises them again when it has ended
        signal.signal(ending, lambda *_: None)
    _log()
    config = uvicorn.Config(
        app.create(captioner, limits),
        http=_Impatient,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=int(limits.seconds) + 1,
    )
    with _listen(host, port) as listening:
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"looksay: http://{shown}:{listening.getsockname()[1]} (Ctrl-C ends)", err=True)
        uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=512
        )
    except OSError as error:
        raise OptionError(
            f"cannot listen at {host}, port {port}: {error.strerror}; name another with --port"
        ) from error


def _log() -> None:
    """Write one JSON object a request, and what goes wrong, to standard error."""
    lines = logging.StreamHandler(sys.stderr)
    access.addHandler(lines)
    access.setLevel(logging.INFO)
    access.propagate = False
    for name in ("looksay.web", "uvicorn.error"):
        logging.getLogger(name).addHandler(lines)
        logging.getLogger(name).setLevel(logging.WARNING)
