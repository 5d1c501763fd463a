"""METEOR 1.5 and SPICE in Java, and errors where they cannot run."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from looksay import MetricError, MissingExtra
from looksay.metrics import java, score

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text(encoding="utf-8"))
PREDICTIONS = [image["prediction"] for image in GOLDEN["images"]]
REFERENCES = [image["references"] for image in GOLDEN["images"]]

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="java is not installed")


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


@needs_java
def test_spice_names_missing_files() -> None:
    folder = java._package() / "spice" / "lib"
    if all((folder / name).is_file() for name in java._CORENLP):
        pytest.skip("SPICE is complete here")
    with pytest.raises(MetricError, match=r"SPICE needs stanford-corenlp-3\.6\.0\.jar .*; download them with"):
        score(PREDICTIONS, REFERENCES, spice=True)


def test_missing_java_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    java.meteor_process.cache_clear()
    for metric in ("meteor", "spice"):
        with pytest.raises(MetricError, match="need java, which is not on the PATH; install"):
            score(PREDICTIONS, REFERENCES, **{metric: True})


def test_without_pycocoevalcap_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    java.meteor_process.cache_clear()
    for metric in ("meteor", "spice"):
        with pytest.raises(MissingExtra, match=r'pip install "looksay\[metrics\]"'):
            score(PREDICTIONS, REFERENCES, **{metric: True})
