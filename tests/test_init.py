"""``import looksay`` is fast and gives access to everything that a user needs."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import looksay
from looksay import DecodingOptions, errors

PUBLIC_MODULES = {
    "looksay.captioner": {"Captioner", "caption", "load"},
    "looksay.decoding.options": {"DecodingOptions"},
    "looksay.errors": {
        name for name, value in vars(errors).items() if inspect.isclass(value) and value.__module__ == "looksay.errors"
    },
    "looksay.runtime.bundle": {"Bundle"},
    "looksay.types": {"Caption", "ImageSpec", "ModelSpec", "Tag"},
}


def test_all_names_of_the_public_modules_are_exported() -> None:
    assert set(looksay.__all__) == {"__version__"}.union(*PUBLIC_MODULES.values())
    assert looksay.__all__ == sorted(looksay.__all__)
    for module, names in PUBLIC_MODULES.items():
        for name in names:
            assert getattr(looksay, name) is getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("module", ["looksay.types", "looksay.captioner", "looksay.errors"])
def test_no_public_class_or_function_is_forgotten(module: str) -> None:
    defined = {
        name
        for name, value in vars(importlib.import_module(module)).items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == module and name[0] != "_"
    }
    assert defined - {"needs", "require"} == PUBLIC_MODULES[module]


def test_dir_lists_exactly_the_public_names() -> None:
    assert dir(looksay) == sorted(looksay.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(looksay, "captoin")


def test_importing_looksay_imports_nothing_heavy() -> None:
    code = "import sys, looksay; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"numpy", "PIL", "onnxruntime", "torch", "click"} & set(modules)


def test_every_error_has_a_standard_parent_too() -> None:
    for name in PUBLIC_MODULES["looksay.errors"] - {"LooksayError"}:
        error = getattr(looksay, name)
        assert issubclass(error, looksay.LooksayError)
        assert issubclass(error, ValueError | RuntimeError | ImportError)
    assert str(looksay.MissingExtra("Training", "train")).endswith('pip install "looksay[train]"')


@pytest.mark.parametrize(
    "function", [looksay.Captioner.__call__, looksay.Captioner.captions, looksay.Captioner.outcomes, looksay.caption]
)
def test_signatures_show_the_decoding_options(function: object) -> None:
    parameters = inspect.signature(function).parameters  # type: ignore[arg-type]
    assert "options" not in parameters
    for name in DecodingOptions.__dataclass_fields__:
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert repr(parameters[name].default) == "<the model's own>"
