"""``looksay serve``: captions in the browser and over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_origin

import click

from looksay.cli.options import device_option, model_option, threads_option
from looksay.errors import MissingExtra
from looksay.option_fields import Option, declared
from looksay.server.settings import ENVIRONMENT, ServerSettings
from looksay.types import Device


def _to_click(setting: Option) -> Callable[..., Any]:
    """Return the click option of a setting; a list is an option that may be repeated."""
    is_list = get_origin(setting.type) is tuple
    flag = setting.name.removesuffix("s") if is_list else setting.name
    bounds: dict[str, Any] = setting.bounds
    lowest, highest = bounds.get("ge", bounds.get("gt")), bounds.get("le")
    kinds: dict[Any, Any] = {
        int: click.IntRange(lowest, highest),
        float: click.FloatRange(lowest, highest, min_open="gt" in bounds),
    }
    return click.option(
        f"--{flag.replace('_', '-')}", setting.name, type=kinds.get(setting.type, click.STRING),
        default=setting.default, show_default=bool(setting.default), multiple=is_list,
        envvar=ENVIRONMENT.get(setting.name), show_envvar=True, metavar="NAME" if is_list else None, help=setting.help,
    )  # fmt: skip


def _server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for setting in reversed(list(declared(ServerSettings))):
        command = _to_click(setting)(command)
    return command


@click.command()
@model_option
@threads_option
@device_option
@_server_options
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

    try:
        from looksay.server import run
    except ImportError as error:
        raise MissingExtra("Serving", "web") from error

    run.serve(captioner.load(*models, threads=threads, device=device), ServerSettings(**settings))
