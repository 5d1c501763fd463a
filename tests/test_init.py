"""Who imports looksay should not wait, and should find what the docs name."""

from __future__ import annotations

import subprocess
import sys

import looksay


def test_every_public_name_is_there() -> None:
    assert all(getattr(looksay, name) is not None for name in looksay.__all__)
    assert set(looksay.__all__) <= set(dir(looksay)) | {"Captioner", "caption", "load"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(looksay, "captoin")


def test_importing_looksay_imports_nothing_heavy() -> None:
    code = "import sys, looksay; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"numpy", "PIL", "onnxruntime", "torch", "click"} & set(loaded)


def test_every_error_has_a_standard_parent_too() -> None:
    errors = [getattr(looksay, name) for name in looksay.__all__ if name.endswith(("Error", "Extra"))]
    for error in errors:
        assert issubclass(error, looksay.LooksayError)
        if error is not looksay.LooksayError:
            assert issubclass(error, (ValueError, RuntimeError, ImportError))
    assert str(looksay.MissingExtra("Training", "train")).endswith('pip install "looksay[train]"')
