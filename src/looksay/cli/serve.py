"""``looksay serve``: captions in the browser and over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

import click

from looksay.cli.options import device_option, model_option, threads_option
from looksay.errors import MissingExtra
from looksay.server.settings import LOOPBACK, Limits
from looksay.types import Device


@click.command()
@model_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at; 0.0.0.0 for all.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 for a free one.")
@click.option(
    "--allowed-host", "hosts", multiple=True, metavar="NAME",
    help="Name by which browsers may call the server.  [default: this machine's own; all, if --host is not loopback]",
)  # fmt: skip
@click.option("--token", envvar="LOOKSAY_TOKEN", default="", help="What clients must send as a bearer token.")
@threads_option
@device_option
@click.option("--max-bytes", type=int, default=Limits.bytes, show_default=True, help="Of an upload.")
@click.option("--max-pixels", type=int, default=Limits.pixels, show_default=True, help="Of an image.")
@click.option("--max-images", type=int, default=Limits.images, show_default=True, help="Of a request.")
@click.option(
    "--max-requests", type=int, default=Limits.requests, show_default=True, help="At once; one more is answered 503."
)
@click.option("--queue", type=int, default=Limits.queue, show_default=True, help="Images worked on or waiting.")
@click.option(
    "--timeout", type=float, default=Limits.seconds, show_default=True, help="Seconds a request, upload included."
)
@click.option("--batch", type=int, default=Limits.batch, show_default=True, help="Images captioned together.")
def serve(
    models: Sequence[str],
    host: str,
    port: int,
    hosts: Sequence[str],
    token: str,
    threads: int | None,
    device: Device,
    max_bytes: int,
    max_pixels: int,
    max_images: int,
    max_requests: int,
    queue: int,
    timeout: float,
    batch: int,
) -> None:
    """Caption in the browser, and for programs over HTTP.

    Open http://127.0.0.1:8000 for the page, /docs for the API. Nothing leaves this machine, and no image is written
    to disk. Ctrl-C or SIGTERM ends the server when what it has begun is done.

    \b
    looksay serve
    looksay serve --model my-captioner --port 8080
    LOOKSAY_TOKEN=secret looksay serve --host 0.0.0.0 --allowed-host captions.example.org
    """
    from looksay import captioner

    try:
        from looksay.server import uvicorn_server
    except ImportError as error:
        raise MissingExtra("Serving", "web") from error

    limits = Limits(
        bytes=max_bytes,
        pixels=max_pixels,
        images=max_images,
        requests=max_requests,
        queue=queue,
        seconds=timeout,
        batch=batch,
        token=token,
        hosts=(*LOOPBACK, *(name.lower() for name in hosts)) if hosts or _is_loopback(host) else (),
    )
    uvicorn_server.run(captioner.load(*models, threads=threads, device=device), limits, host, port)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
