"""Options that commands share: generated from the declared decoding options."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from looksay.cli.options import decoding_options, decoding_overrides
from looksay.decoding.options import DecodingOptions
from looksay.option_fields import declared


@click.command()
@decoding_options
def command(**options: object) -> None:
    click.echo(decoding_overrides(options))


def test_every_decoding_option_is_on_the_command_line_with_its_help() -> None:
    text = " ".join(CliRunner(env={"COLUMNS": "200"}).invoke(command, ["--help"]).stdout.split())
    for option in declared(DecodingOptions):
        assert f"--{option.name.replace('_', '-')}" in text
        assert option.help in text
    assert text.count("[default: (the model's own)") == len(list(declared(DecodingOptions)))
    assert "1<=x<=100" in text


def test_only_options_that_are_given_are_overrides() -> None:
    given = ["--num-beams", "5", "--bad-words", "a", "--bad-words", "b", "--allow-repeat-words", "--no-tags"]
    result = CliRunner().invoke(command, given)
    assert result.stdout == "{'num_beams': 5, 'no_repeat_words': False, 'bad_words': ('a', 'b'), 'tags': False}\n"
    assert CliRunner().invoke(command, ["--no-repeat-words"]).stdout == "{'no_repeat_words': True}\n"
    assert CliRunner().invoke(command, []).stdout == "{}\n"


@pytest.mark.parametrize("given", [["--top-p", "0"], ["--num-beams", "101"], ["--seed", "-1"], ["--top-k", "many"]])
def test_values_out_of_range_are_usage_errors(given: list[str]) -> None:
    result = CliRunner().invoke(command, given)
    assert result.exit_code == 2
    assert f"Invalid value for '{given[0]}'" in result.stderr
