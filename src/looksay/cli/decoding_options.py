"""Options of every command that lets a model write captions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from looksay.decoding.options import Overrides

_OWN = "  [default: the model's own]"
_OPTIONS = (
    click.option("--num-beams", type=int, help="Captions searched in parallel, 1 (greedy) to 100." + _OWN),
    click.option("--max-length", type=int, help="Longest caption." + _OWN),
    click.option("--min-length", type=int, help="Shortest caption."),
    click.option("--length-penalty", type=float, help="0 favours short captions, 1 long ones." + _OWN),
    click.option("--no-repeat-ngram-size", type=int, metavar="N", help="Say no run of N words twice."),
    click.option(
        "--no-repeat-words/--repeat-words", default=None, help="Say no word twice but small ones, as articles." + _OWN
    ),
    click.option("--no-dangling", is_flag=True, default=None, help="End in no article, preposition or conjunction."),
    click.option("--bad-words", "bad_words", multiple=True, metavar="WORD", help="Never say WORD; may be given again."),
    click.option("--prefix", metavar="TEXT", help="Begin every caption so."),
    click.option("--num-beam-groups", type=int, help="Groups of the beam that keep away from each other's words."),
    click.option("--diversity-penalty", type=float, help="How far away.  [default: 0.5]"),
    click.option("--temperature", type=float, help="Above 0, draw captions at random; 1 as the model would."),
    click.option("--top-k", type=int, help="Draw from the K likeliest words."),
    click.option("--top-p", type=float, help="Draw from the likeliest words that have this probability together."),
    click.option("--seed", type=int, help="Of drawing."),
    click.option(
        "--tags",
        type=click.Choice(["on", "off"]),
        help="Whether to ask for nouns that the CNN is sure of and that the caption lacks.  [default: on]",
    ),
)


def decoding_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that `decoding_overrides` collects."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def decoding_overrides(values: dict[str, Any]) -> Overrides:
    """Return those of a command's search options that were given."""
    given = {name: value for name, value in values.items() if value not in (None, ())}
    if "tags" in given:
        given["tags"] = given["tags"] == "on"
    return given
