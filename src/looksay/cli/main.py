"""The ``looksay`` command: which word opens which door, and how errors end."""

from __future__ import annotations

import importlib
import io
import sys
from pathlib import Path

import click

import looksay
from looksay.errors import LooksayError

# Name of a command to the module that holds it, under the same name. Imported only when it is run.
_COMMANDS = {
    "caption": "looksay.cli.caption",
    "find": "looksay.cli.find",
    "data": "looksay.cli.data",
    "train": "looksay.cli.train",
    "compare": "looksay.cli.compare",
    "evaluate": "looksay.cli.evaluate",
    "score": "looksay.cli.score",
    "export": "looksay.cli.export",
    "serve": "looksay.cli.serve",
    "bench": "looksay.cli.bench",
    "models": "looksay.cli.models",
}
_DEFAULT = "caption"


class _Doors(click.Group):
    """Finds commands by name; ``looksay photo.jpg`` means ``looksay caption photo.jpg``."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(_COMMANDS[cmd_name]), cmd_name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--help", "-h", "--version", *_COMMANDS}
        if args and args[0] not in own:
            if args[0].isidentifier() and not Path(args[0]).exists():
                raise click.UsageError(f"there is no command and no image {args[0]!r}; see looksay --help", ctx)
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        if isinstance(sys.stdout, io.TextIOWrapper):  # captions are in any script, and file names of any bytes
            sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
        try:
            return super().invoke(ctx)
        except LooksayError as error:
            click.echo(f"looksay: {error}", err=True)
            sys.exit(2)
        except BrokenPipeError:
            raise  # whoever read the output has seen enough; click ends quietly
        except OSError as error:
            click.echo(f"looksay: {error.filename or 'a file'}: {error.strerror or error}", err=True)
            sys.exit(2)


@click.group(cls=_Doors, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(looksay.__version__)
def main() -> None:
    """Say what images show: a CNN looks, an LSTM says.

    \b
    looksay photo.jpg           caption a photo (short for looksay caption photo.jpg)
    looksay caption --help      folders, formats, beams
    looksay find --help         find images by what is in them
    looksay data --help         look at your images and captions
    looksay train --help        make a captioner of your own
    looksay evaluate --help     score it as the papers do
    looksay serve               caption in the browser and over HTTP
    looksay models --help       list models, fetch and share them
    looksay bench               see how fast it is on this machine
    """
