"""METEOR 1.5 and SPICE, by the Java programs that pycocoevalcap brings.

Its own wrappers are not used: they write into its package folder, and start a Java process for every call.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from looksay.errors import MetricError, MissingExtra
from looksay.metrics.ngrams import Caption

_SEPARATOR = " ||| "
_Captions = Sequence[Caption]


class Meteor:
    """METEOR 1.5 (Denkowski and Lavie 2014) in one Java process, which is kept alive.

    Raises
    ------
    MissingExtra
        If pycocoevalcap is not installed.
    MetricError
        If Java is missing.
    """

    def __init__(self) -> None:
        folder, java = _package() / "meteor", _java()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        command = [
            java,
            "-Xmx2G",
            "-Dfile.encoding=UTF-8",
            "-jar",
            "meteor-1.5.jar",
            "-",
            "-",
            "-stdio",
            "-l",
            "en",
            "-norm",
        ]
        self._process = subprocess.Popen(  # noqa: S603
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, encoding="utf-8"
        )
        atexit.register(self.close)

    def scores(self, predictions: _Captions, references: Sequence[_Captions]) -> tuple[float, list[float]]:
        """Score one caption for each image.

        Parameters
        ----------
        predictions : sequence of captions, each a sequence of words
        references : for each caption, its references, each a sequence of words

        Returns
        -------
        tuple of float and list of float
            The score of the corpus, which is not the mean, and those of the images; 0 to 1.

        Raises
        ------
        MetricError
            If Java ends before its time.
        """
        statistics = []
        for said, others in zip(predictions, references, strict=True):
            self._write(["SCORE", *map(_text, others), _text(said)])
            statistics.append(self._read())
        self._write(["EVAL", *statistics])
        images = [float(self._read()) for _ in statistics]
        return float(self._read()), images

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream:
                stream.close()

    def _write(self, fields: Sequence[str]) -> None:
        try:
            stdin = _piped(self._process.stdin)
            stdin.write(_SEPARATOR.join(fields) + "\n")
            stdin.flush()
        except OSError as error:
            raise self._died() from error

    def _read(self) -> str:
        line = _piped(self._process.stdout).readline().strip()
        if not line:
            raise self._died()
        return line

    def _died(self) -> MetricError:
        self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip()
        meteor_process.cache_clear()
        return MetricError(f"METEOR's Java process ended: {said[-500:] or f'exit code {self._process.returncode}'}")


@functools.cache
def meteor_process() -> Meteor:
    """Return the one METEOR process, started on the first call: its tables take seconds to load."""
    return Meteor()


def check(*, meteor: bool = False, spice: bool = False) -> None:
    """See that METEOR and SPICE can run, before anyone waits for captions to score.

    Raises
    ------
    MissingExtra, MetricError
        If one that is wanted cannot.
    """
    if meteor:
        meteor_process().scores([["a"]], [[["a"]]])
    if spice:
        _spice_folder()


def spice(predictions: _Captions, references: Sequence[_Captions]) -> tuple[float, list[float]]:
    """Score with SPICE (Anderson et al. 2016); see `Meteor.scores`. It takes gigabytes of memory, and minutes.

    Raises
    ------
    MissingExtra
        If pycocoevalcap is not installed.
    MetricError
        If Java or Stanford CoreNLP 3.6.0 is missing, or if SPICE fails.
    """
    folder, java = _spice_folder(), _java()
    rows = [
        {"image_id": place, "test": _text(said), "refs": [_text(other) for other in others]}
        for place, (said, others) in enumerate(zip(predictions, references, strict=True))
    ]
    with tempfile.TemporaryDirectory() as temporary:
        questions, answers = Path(temporary) / "in.json", Path(temporary) / "out.json"
        questions.write_text(json.dumps(rows), encoding="utf-8")
        command = [
            java,
            "-Xmx8G",
            "-jar",
            "spice-1.0.jar",
            str(questions),
            "-cache",
            temporary,
            "-out",
            str(answers),
            "-subset",
            "-silent",
        ]
        ended = subprocess.run(  # noqa: S603
            command, cwd=folder, env=os.environ | _OPENED, capture_output=True, text=True, check=False
        )
        if ended.returncode or not answers.is_file():
            raise MetricError(f"SPICE failed: {(ended.stderr or ended.stdout).strip()[-500:]}")
        found = sorted(json.loads(answers.read_text(encoding="utf-8")), key=lambda row: int(row["image_id"]))
    images = [float(row["scores"]["All"]["f"]) for row in found]
    return sum(images) / len(images), images


_CORENLP = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
# SPICE reaches into Java's own classes, which Java 16 and later forbid unless told; Java 8 does not read this variable.
_OPENED = {
    "JDK_JAVA_OPTIONS": " ".join(
        f"--add-opens=java.base/{name}=ALL-UNNAMED"
        for name in ("java.lang", "java.math", "java.net", "java.text", "java.util", "java.util.concurrent")
    )
}


def _package() -> Path:
    found = importlib.util.find_spec("pycocoevalcap")
    if found is None or not found.submodule_search_locations:
        raise MissingExtra("Scoring with METEOR or SPICE", "metrics")
    return Path(found.submodule_search_locations[0])


def _spice_folder() -> Path:
    folder = _package() / "spice"
    _java()
    missing = [name for name in _CORENLP if not (folder / "lib" / name).is_file()]
    if missing:
        raise MetricError(
            f"SPICE needs {' and '.join(missing)} of Stanford CoreNLP 3.6.0 in {folder / 'lib'}; with a network, "
            'python -c "from pycocoevalcap.spice.get_stanford_models import *; get_stanford_models()" fetches them'
        )
    return folder


def _java() -> str:
    java = shutil.which("java")
    if java is None:
        raise MetricError(
            "METEOR and SPICE run in Java, and there is no java on the PATH; install a Java runtime (JRE)"
        )
    return java


def _text(caption: Caption) -> str:
    return " ".join(map(str, caption))


def _piped(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise MetricError("METEOR's Java process has no pipe")
    return stream
