"""Run the application with uvicorn until a signal ends it."""

from __future__ import annotations

import json
import logging
import signal
import socket
import sys
import warnings

import click
import uvicorn
from PIL import Image

from looksay.captioner import Captioner
from looksay.errors import OptionError
from looksay.server.app import create_app
from looksay.server.middleware import SlowClientProtocol, access_log
from looksay.server.settings import ServerSettings


def serve(captioner: Captioner, settings: ServerSettings) -> None:
    """Serve until SIGINT or SIGTERM; then finish the open requests."""
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # images.read refuses such images itself
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn shuts down on them and raises them again at the end
        signal.signal(number, lambda *_: sys.exit(0))
    _configure_logging()
    config = uvicorn.Config(
        create_app(captioner, settings),
        http=SlowClientProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.max_connections,
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
