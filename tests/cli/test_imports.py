"""The number of modules that commands import."""

from __future__ import annotations

import subprocess
import sys

from conftest import EXAMPLES, ROOT

PACKAGE = ROOT / "src" / "looksay"
_PRINT_MODULES = "print(*sorted(name for name in sys.modules if name.startswith('looksay')), sep='\\n')"


def imported(code: str) -> list[str]:
    """Return the modules of looksay that a fresh interpreter has imported after some code."""
    command = [sys.executable, "-c", f"import sys\n{code}\n{_PRINT_MODULES}"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [line for line in lines if line.startswith("looksay")]


def with_code(names: list[str]) -> list[str]:
    """Return the modules that hold code: a folder's ``__init__.py`` of one line, its description, does not count."""
    folders = {file.parent for file in PACKAGE.rglob("__init__.py") if len(file.read_text().splitlines()) == 1}
    return [name for name in names if PACKAGE.parent.joinpath(*name.split(".")) not in folders]


def test_captioning_a_photo_imports_few_modules() -> None:
    names = imported(
        f"from looksay.cli.main import main\nmain([{str(EXAMPLES / 'boats.jpg')!r}], standalone_mode=False)\n"
        "assert not {'sqlite3', 'csv', 'xml.etree.ElementTree'} & sys.modules.keys()"
    )
    assert not [name for name in names if name.startswith(("looksay.data", "looksay.jobs"))]
    assert len(with_code(names)) <= 21, with_code(names)


def test_training_imports_few_modules() -> None:
    modules = with_code(imported("import looksay.cli.main\nimport looksay.cli.train\nimport looksay.training.run"))
    assert len(modules) <= 45, modules


def test_help_imports_no_large_library() -> None:
    code = (
        "from looksay.cli.main import main\nmain(['train', '--help'], standalone_mode=False)\n"
        "assert not {'numpy', 'torch', 'onnxruntime'} & sys.modules.keys()"
    )
    assert imported(code)
