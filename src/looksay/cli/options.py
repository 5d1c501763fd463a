"""Options that several commands share."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, get_args, get_origin

import click

from looksay.decoding.options import DecodingOptions, Overrides
from looksay.option_fields import Option, declared
from looksay.types import Device

model_option = click.option(
    "--model", "models", multiple=True, default=("default",), show_default=True, metavar="NAME|DIR|ID",
    help="Shipped model, model folder or hub id; repeat it for an ensemble.",
)  # fmt: skip
threads_option = click.option(
    "--threads", type=click.IntRange(min=1), show_default="all cores", help="CPU threads for captioning."
)
device_option = click.option(
    "--device", type=click.Choice(get_args(Device)), default="cpu", show_default=True,
    help="Device that the model runs on; all but cpu need another build of ONNX Runtime.",
)  # fmt: skip
batch_option = click.option(
    "--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Images captioned together."
)


def option_from(option: Option, flag: str = "", **attributes: Any) -> Callable[..., Any]:
    """Return the click option of a declared option, perhaps under another `flag`.

    `attributes` are those of `click.Option`, in place of those that follow from the declaration.
    """
    flag = "--" + (flag or option.name).replace("_", "-")
    if option.type is bool:
        flag += "/" + (flag.replace("--no-", "--allow-") if flag.startswith("--no-") else flag.replace("--", "--no-"))
        kind: Any = bool
    elif option.type in (int, float):
        bounds: dict[str, Any] = dict(option.bounds)
        number_range = click.IntRange if option.type is int else click.FloatRange
        kind = option.type if not bounds else number_range(
            min=bounds.get("ge", bounds.get("gt")), max=bounds.get("le", bounds.get("lt")),
            min_open="gt" in bounds, max_open="lt" in bounds,
        )  # fmt: skip
    else:
        kind = str
    is_list = get_origin(option.type) is tuple
    derived = {"type": kind, "default": option.default, "multiple": is_list, "help": option.help}
    return click.option(flag, option.name, **derived | attributes)


def options_from(kind: type, attributes: Callable[[Option], dict[str, Any]]) -> Callable[..., Any]:
    """Return a decorator that adds an option to a command for each declared option; see `option_from`."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(declared(kind)):
            command = option_from(option, **attributes(option))(command)
        return command

    return decorate


def _decoding_attributes(option: Option) -> dict[str, Any]:
    words = {"metavar": "WORD", "help": f"{option.help} Repeat it for several."}
    return {"default": None, "show_default": "the model's own"} | (words if get_origin(option.type) is tuple else {})


decoding_options = options_from(DecodingOptions, _decoding_attributes)


def decoding_overrides(values: dict[str, Any]) -> Overrides:
    """Remove the decoding options from the parameters of a command; return those that the user set."""
    overrides = {option.name: values.pop(option.name) for option in declared(DecodingOptions)}
    return {name: value for name, value in overrides.items() if value not in (None, ())}


class _StderrHandler(logging.Handler):
    """Writes to the current `sys.stderr`: a progress bar replaces it to keep log lines above the bar."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(self.format(record) + "\n")


def log_to_stderr() -> None:
    """Log looksay's progress to standard error, and only warnings of other libraries.

    Call it before importing them, because some configure logging themselves.
    """
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=[_StderrHandler()]
    )
    logging.getLogger("looksay").setLevel(logging.INFO)
