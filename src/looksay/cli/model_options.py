"""Options of every command that loads a model."""

from __future__ import annotations

from typing import get_args

import click

from looksay.types import Device

model_option = click.option(
    "--model",
    "models",
    multiple=True,
    default=("default",),
    show_default=True,
    metavar="NAME|DIR|ID",
    help="A shipped model, a folder or a hub id; given again, models caption together.",
)

threads_option = click.option(
    "--threads", type=click.IntRange(min=1), help="CPU threads for captioning.  [default: all cores]"
)

device_option = click.option(
    "--device",
    type=click.Choice(get_args(Device)),
    default="cpu",
    show_default=True,
    help="What the model runs on; others than cpu need another build of ONNX Runtime.",
)
