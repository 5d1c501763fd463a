"""The ``looksay`` command: finds the subcommand and reports errors."""

from __future__ import annotations

import atexit
import difflib
import gc
import importlib
import io
import os
import sys
import warnings
from typing import NoReturn

import click

import looksay
from looksay.errors import LooksayError

# Each command is the object of this name in the module looksay.cli.NAME, which is imported when the command runs.
COMMANDS = (
    "caption", "find", "alt", "data", "train", "compare", "evaluate", "score", "export", "serve", "bench", "models",
    "weights",
)  # fmt: skip


def _fail(message: object) -> NoReturn:
    click.echo(f"looksay: {message}", err=True)
    sys.exit(2)


class _LazyGroup(click.Group):
    """Imports commands on demand; ``looksay photo.jpg`` means ``looksay caption photo.jpg``."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"looksay.cli.{cmd_name}"), cmd_name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in ("--help", "-h", "--version", *COMMANDS):
            if args[0].isidentifier() and not os.path.exists(args[0]):  # noqa: PTH110 (any text)
                near = "".join(f"; did you mean {name}" for name in difflib.get_close_matches(args[0], COMMANDS, 1))
                _fail(f"there is no command and no image {args[0]!r}{near}; see looksay --help")
            args = ["caption", *args]
        ctx.obj = tuple(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        if isinstance(sys.stdout, io.TextIOWrapper):  # captions in any script, file names of any bytes
            sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
        atexit.register(gc.freeze)  # else the exit searches all objects for garbage, for longer than a caption
        warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged metadata; broken images are errors of looksay
        try:
            return super().invoke(ctx)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            message = error.format_message()
            if error.ctx and type(error) is not click.UsageError:  # click's own messages name no next step
                message += f" See {error.ctx.command_path} --help."
            if name := next((arg for arg in ctx.obj if arg[0:1] == "-" and os.path.exists(arg)), ""):  # noqa: PTH110
                message += f" To name the file {name}, write ./{name}, or -- before the paths."
            _fail(message)
        except LooksayError as error:
            _fail(error)
        except BrokenPipeError:
            raise  # the reader has closed the pipe (as in `| head`): click exits without a message
        except (KeyboardInterrupt, ImportError) as error:
            if isinstance(error, ImportError) and not isinstance(error.__cause__, KeyboardInterrupt):
                raise
            click.echo("looksay: interrupted", err=True)
            sys.exit(130)  # as shells expect after Ctrl-C
        except OSError as error:
            _fail(f"{error.filename or 'a file'}: {error.strerror or error}")


@click.group(cls=_LazyGroup, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(looksay.__version__)
def main() -> None:
    """Caption images with a CNN encoder and an LSTM decoder.

    \b
    looksay photo.jpg           caption a photo (short for looksay caption photo.jpg)
    looksay caption --help      caption folders, into files; decoding options
    looksay find --help         search images by their captions
    looksay alt --help          write alt text into HTML and Markdown
    looksay data --help         summarise a data set
    looksay train --help        train a model
    looksay compare --help      compare training runs
    looksay evaluate --help     score a model as the papers do
    looksay score --help        score captions of any system
    looksay export --help       export a run as an ONNX model
    looksay serve               caption in the browser and over HTTP
    looksay models --help       list, download and upload models
    looksay weights --help      convert ImageNet weights of other libraries
    looksay bench               measure the speed on this machine
    """
