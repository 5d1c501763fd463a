"""The application on a port, until it is told to end."""

from __future__ import annotations

import asyncio
import json
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
from looksay.server import app
from looksay.server.middleware import access
from looksay.server.settings import Limits

_CONNECTIONS = 500
_UNWANTED = 32_000_000  # bytes of an upload that are still taken after it was refused, so that the client hears of it
_PATIENCE = 10  # seconds that a client has to say what it wants, and to take what it is sent


class _Impatient(H11Protocol):
    """Ends connections whose client neither asks nor listens, so that such clients do not hold all of them."""

    _unwanted = 0
    _asking: asyncio.TimerHandle | None = None
    _listening: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        self._unwanted = 0 if self._has_request() else self._unwanted + len(data)
        if self._unwanted > _UNWANTED:
            self.transport.abort()
            return
        super().data_received(data)
        self._expect()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._listening = self.loop.call_later(_PATIENCE, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop("_listening")

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop("_asking", "_listening")

    def _expect(self) -> None:
        """Begin to wait for a request, or cease to."""
        if self._has_request():
            self._stop("_asking")
        elif not self._asking:
            self._asking = self.loop.call_later(_PATIENCE, self.transport.abort)

    def _has_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _stop(self, *timers: str) -> None:
        for name in timers:
            if timer := getattr(self, name):
                timer.cancel()
                setattr(self, name, None)


def run(captioner: Captioner, limits: Limits, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM, and then finish what is in flight.

    Raises
    ------
    OptionError
        If the address cannot be listened at.
    """
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # images.read refuses such images itself
    for ending in (signal.SIGINT, signal.SIGTERM):  # uvicorn ends in peace by them, and then raises them again
        signal.signal(ending, lambda *_: sys.exit(0))
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
        name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        shown = f"[{name}]" if ":" in name else name
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


class _Lines(logging.Formatter):
    """One JSON object a line, whatever is logged."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.name == access.name:
            return text
        return json.dumps({"level": record.levelname.lower(), "logger": record.name, "message": text})


def _log() -> None:
    """Write requests, and what goes wrong, to standard error."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(_Lines())
    logging.basicConfig(level=logging.WARNING, handlers=[lines], force=True)
    access.setLevel(logging.INFO)
    for name in ("multipart", "python_multipart"):  # what clients send wrong, they are told
        logging.getLogger(name).setLevel(logging.ERROR)
