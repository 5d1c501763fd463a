"""Run the application with uvicorn until a signal ends it."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import sys
from typing import Any

import click
import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from looksay.captioner import Captioner
from looksay.errors import OptionError
from looksay.server.app import create_app
from looksay.server.middleware import access_log, error_response
from looksay.server.settings import DISCARDED_BYTES, ServerSettings


def serve(captioner: Captioner, settings: ServerSettings) -> None:
    """Serve until SIGINT or SIGTERM; then finish the open requests."""
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn shuts down on them and raises them again at the end
        signal.signal(number, lambda *_: sys.exit(0))
    _configure_logging()
    config = uvicorn.Config(
        create_app(captioner, settings),
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.forwarded_allow_ips,
        timeout_keep_alive=settings.idle_timeout,
        timeout_graceful_shutdown=int(settings.timeout) + 1,
    )
    with _listen(settings.host, settings.port) as listener:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
        url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        click.echo(f"looksay: serving on {url} (stop with Ctrl-C)", err=True)
        uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        message = f"cannot listen on {host}, port {port} ({error.strerror}): use another --port or --host"
        raise OptionError(message) from error


class _JsonFormatter(logging.Formatter):
    """One JSON object a line; those of the access log are JSON already."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.name == access_log.name:
            return text
        return json.dumps({"level": record.levelname.lower(), "logger": record.name, "message": text})


def _configure_logging() -> None:
    """Log requests and errors to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    access_log.setLevel(logging.INFO)
    for name in ("multipart", "python_multipart"):  # they warn of malformed uploads, as the response does
        logging.getLogger(name).setLevel(logging.ERROR)


class Protocol(H11Protocol):
    """uvicorn's protocol, with its keep-alive timeout for all slow clients, and errors as JSON.

    uvicorn applies that timeout between requests only, so that clients which send no request or read no response could
    hold all connections.
    """

    _discarded = 0
    _writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: D102
        super().connection_made(transport)
        self.app_state = {**self.app_state, "connections": self.connections}  # the middleware limits their number
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def data_received(self, data: bytes) -> None:
        """Handle data; unlike in the base class, only a complete head of a request stops the timeout."""
        is_refused = self.cycle is not None and self.cycle.response_complete
        self._discarded = self._discarded + len(data) if is_refused else 0
        if self._discarded > DISCARDED_BYTES:
            self.transport.abort()
            return
        self.conn.receive_data(data)
        self.handle_events()

    def pause_writing(self) -> None:  # noqa: D102
        super().pause_writing()
        self._writing = self.loop.call_later(self.timeout_keep_alive, self.transport.abort)

    def resume_writing(self) -> None:  # noqa: D102
        super().resume_writing()
        if self._writing:
            self._writing.cancel()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002, D102
        response = error_response("", 400, "this is not a valid HTTP/1.1 request", {"Connection": "close"})
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):  # not after a response, as to a refused upload
            head = h11.Response(status_code=400, headers=response.raw_headers, reason=b"Bad Request")
            for event in (head, h11.Data(data=bytes(response.body))):
                self.transport.write(self.conn.send(event))
        self.transport.close()
