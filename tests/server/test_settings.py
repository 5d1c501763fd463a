"""Each setting is declared once: range, command line and HTTP schema follow the declaration."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, get_origin

import click
import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from looksay.cli.main import main
from looksay.cli.serve import serve
from looksay.decoding.options import DecodingOptions
from looksay.errors import OptionError
from looksay.images import MAX_PIXELS
from looksay.option_fields import declared
from looksay.server.schemas import CaptionQuery
from looksay.server.settings import DECODING_LIMITS, MAX_WORD_LENGTH, ServerSettings


@pytest.mark.parametrize(("settings", "problem"), [
    ({"port": 65536}, "port 65536 is out of range: use 0 to 65535"),
    ({"max_images": 0}, "max_images 0 is out of range"),
    ({"timeout": 0.0}, "timeout 0.0 is out of range"),
    ({"max_bytes": "many"}, "max_bytes 'many' is not a whole number"),
    ({"queue": 8}, "queue 8 is too small: use at least max_images (32)"),
    ({"root_path": "captions"}, "root_path captions is not a path"),
    ({"root_path": "/captions/"}, "root_path /captions/ is not a path"),
    ({"token": "schlüssel"}, "token has other characters than ASCII"),
])  # fmt: skip
def test_a_setting_out_of_range_is_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(OptionError) as error:
        ServerSettings(**settings)
    assert problem in str(error.value)


def test_no_image_may_exceed_the_limit_of_the_library() -> None:
    (setting,) = (setting for setting in declared(ServerSettings) if setting.name == "max_pixels")
    assert setting.bounds["le"] == MAX_PIXELS


@pytest.mark.parametrize(("host", "allowed", "accepted"), [
    ("127.0.0.1", (), {"127.0.0.1", "localhost", "::1"}),
    ("localhost", ("My-Laptop",), {"127.0.0.1", "localhost", "::1", "my-laptop"}),
    ("0.0.0.0", (), set()),  # noqa: S104
    ("0.0.0.0", ("example.org",), {"127.0.0.1", "localhost", "::1", "example.org"}),  # noqa: S104
])  # fmt: skip
def test_host_names_are_restricted_unless_the_address_is_public(
    host: str, allowed: tuple[str, ...], accepted: set[str]
) -> None:
    assert ServerSettings(host=host, allowed_hosts=allowed).host_names == accepted


def test_the_command_has_each_setting_with_its_default() -> None:
    options = {parameter.name: parameter for parameter in serve.params if isinstance(parameter, click.Option)}
    for setting in declared(ServerSettings):
        assert options[setting.name].default == setting.default
        assert options[setting.name].help == setting.help


@pytest.mark.parametrize("arguments", [("--port", "-1"), ("--max-pixels", "99999999999"), ("--timeout", "0")])
def test_the_command_refuses_values_out_of_range(arguments: tuple[str, str]) -> None:
    result = CliRunner().invoke(main, ["serve", *arguments])
    assert result.exit_code == 2
    assert "is not in the range" in result.output


def test_the_help_needs_none_of_the_web_extra() -> None:
    code = """
import sys
from click.testing import CliRunner
from looksay.cli.main import main
assert "--max-bytes" in CliRunner().invoke(main, ["serve", "--help"]).output
loaded = {"fastapi", "starlette", "pydantic", "uvicorn", "prometheus_client"} & set(sys.modules)
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_decoding_option_is_an_option_over_http() -> None:
    options = {option.name: option for option in declared(DecodingOptions)}
    assert set(CaptionQuery.model_fields) == {*options, "attention"}
    assert set(DECODING_LIMITS) <= set(options)
    for name, option in options.items():
        assert CaptionQuery.model_fields[name].description == option.help


def test_every_decoding_option_is_bounded_over_http() -> None:
    for option in declared(DecodingOptions):
        huge: dict[Any, Any] = {int: 2**70, float: 1e9, str: "x" * 100_000}
        if option.type is bool:
            continue
        words = ["word"] * 1000, ["x" * (MAX_WORD_LENGTH + 1)]
        for value in words if get_origin(option.type) is tuple else (huge[option.type],):
            with pytest.raises(ValidationError):
                CaptionQuery.model_validate({option.name: value})
    assert CaptionQuery.model_validate({"bad_words": ["boat"], "num_beams": 10, "seed": 2**63 - 1})
