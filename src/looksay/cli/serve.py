"""``looksay serve``: captions in the browser and over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_origin

import click

from looksay.cli.options import device_option, model_option, options_from, threads_option
from looksay.errors import needs
from looksay.option_fields import Option
from looksay.server.settings import ENVIRONMENT, ServerSettings
from looksay.types import Device


def _attributes(setting: Option) -> dict[str, Any]:
    is_list = get_origin(setting.type) is tuple
    return {
        "flag": setting.name.removesuffix("s") if is_list else "",
        "metavar": "NAME" if is_list else None,
        "show_default": bool(setting.default),
        "envvar": ENVIRONMENT.get(setting.name),
        "show_envvar": True,
    }


@click.command()
@model_option
@threads_option
@device_option
@options_from(ServerSettings, _attributes)
def serve(models: Sequence[str], threads: int | None, device: Device, **settings: Any) -> None:
    """Serve captions on a web page and over HTTP.

    Open http://127.0.0.1:8000 for the page and http://127.0.0.1:8000/docs for the API. Images stay on this machine and
    are not written to disk. Ctrl-C or SIGTERM ends the server after the open requests.

    \b
    looksay serve
    looksay serve --model my-captioner --port 8080
    LOOKSAY_TOKEN=secret looksay serve --host 0.0.0.0 --allowed-host captions.example.org
    """
    from looksay import captioner

    with needs("Serving", "web"):
        from looksay.server import run

    run.serve(captioner.load(*models, threads=threads, device=device), ServerSettings(**settings))
