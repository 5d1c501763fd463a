"""METEOR 1.5 and SPICE in Java, and errors where they cannot run."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from looksay import MetricError, MissingExtra
from looksay.metrics import java, score

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text(encoding="utf-8"))
PREDICTIONS = [image["prediction"] for image in GOLDEN["images"]]
REFERENCES = [image["references"] for image in GOLDEN["images"]]

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="java is not installed")
needs_scripts = pytest.mark.skipif(sys.platform == "win32", reason="a script is no program here")


@needs_java
@pytest.mark.slow
def test_meteor_equals_pycocoevalcaps_and_its_process_is_kept() -> None:
    first = score(PREDICTIONS, REFERENCES, meteor=True)
    process = java.meteor_process()._process.pid
    assert first == pytest.approx(GOLDEN["scores"], abs=1e-9)
    captions, references = [c.split() for c in PREDICTIONS], [[c.split() for c in cs] for cs in REFERENCES]
    corpus, images = java.meteor_process().scores(captions, references)
    assert len(images) == len(captions)
    assert 0 < corpus < 1
    assert java.meteor_process().scores([[]], [[["a"]]]) == (0.0, [0.0])
    assert java.meteor_process()._process.pid == process
    java.meteor_process()._process.kill()
    with pytest.raises(MetricError, match="METEOR's Java process ended"):
        score(PREDICTIONS, REFERENCES, meteor=True)
    assert score(PREDICTIONS, REFERENCES, meteor=True)["METEOR"] == first["METEOR"]  # a new process
    java.meteor_process().close()
    java.meteor_process.cache_clear()


@needs_scripts
def test_spice_is_called_without_its_cache_and_may_be_undefined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cache is a native library that many machines lack; it writes null for a caption and references without words.

    A script stands for Java, as CoreNLP's 385 MB are not there.
    """
    folder = tmp_path / "a folder"
    folder.mkdir()
    program = folder / "java"
    program.write_text(
        f"""#!{sys.executable}
import json, sys
file, (_, out, *rest) = sys.argv[sys.argv.index("-jar") + 2], sys.argv[sys.argv.index("-jar") + 3 :]
assert rest == ["-subset", "-silent"]
with open(file, encoding="ascii") as rows, open(out, "w") as results:
    f = {{"caf\u00e9": 0.5, "": None}}
    json.dump([{{"image_id": row["image_id"], "scores": {{"All": {{"f": f[row["test"]]}}}}}}
               for row in reversed(json.load(rows))], results)
""",
        encoding="utf-8",
    )
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: str(program))
    monkeypatch.setattr(java, "_CORENLP", ())
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    assert java.spice([["caf\u00e9"]], [[["a", "caf\u00e9"]]]) == (0.5, [0.5])
    mean, (first, second) = java.spice([["caf\u00e9"], []], [[["x"]], [[]]])
    assert first == 0.5
    assert math.isnan(second)
    assert math.isnan(mean)


@needs_java
def test_spice_names_missing_files() -> None:
    folder = java._package() / "spice" / "lib"
    if all((folder / name).is_file() for name in java._CORENLP):
        pytest.skip("SPICE is complete here")
    with pytest.raises(MetricError, match=r"SPICE needs stanford-corenlp-3\.6\.0\.jar .*; download them with"):
        score(PREDICTIONS, REFERENCES, spice=True)


@needs_scripts
def test_java_is_found_by_java_home_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").touch(0o755)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert java._java() == str(tmp_path / "bin" / "java")


def test_missing_java_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    java.meteor_process.cache_clear()
    for metric in ("meteor", "spice"):
        with pytest.raises(MetricError, match="need java, which is neither on the PATH nor in JAVA_HOME; install"):
            score(PREDICTIONS, REFERENCES, **{metric: True})


def test_without_pycocoevalcap_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    java.meteor_process.cache_clear()
    for metric in ("meteor", "spice"):
        with pytest.raises(MissingExtra, match=r'pip install "looksay\[metrics\]"'):
            score(PREDICTIONS, REFERENCES, **{metric: True})


@needs_java
@pytest.mark.slow
def test_meteor_does_not_depend_on_the_users_language(monkeypatch: pytest.MonkeyPatch) -> None:
    """METEOR reads its tables with Java's locale; where that has a decimal comma it would fail."""
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Duser.language=de -Duser.country=DE -Dfile.encoding=US-ASCII")
    java.meteor_process.cache_clear()
    captions, references = ["a café ||| grass", ""], [["the café on grass"], ["a dog"]]
    german = score(captions, references, meteor=True)["METEOR"]
    java.meteor_process().close()
    java.meteor_process.cache_clear()
    monkeypatch.delenv("JAVA_TOOL_OPTIONS")
    assert german == score(captions, references, meteor=True)["METEOR"] > 0.1
    java.meteor_process().close()
    java.meteor_process.cache_clear()


@needs_scripts
def test_a_java_that_cannot_start_is_an_error_with_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS has such a program in place of Java."""
    program = tmp_path / "java"
    program.write_text("#!/bin/sh\necho 'Picked up OPTIONS' >&2\necho 'Unable to locate a Java Runtime.' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: str(program))
    java.meteor_process.cache_clear()
    with pytest.raises(MetricError, match=r"METEOR's Java process ended: Unable to locate a Java Runtime\.$"):
        score(PREDICTIONS, REFERENCES, meteor=True)
