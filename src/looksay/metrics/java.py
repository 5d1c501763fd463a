"""METEOR 1.5 and SPICE, by the Java programs that pycocoevalcap contains.

All functions raise `MissingExtra` without pycocoevalcap, and `MetricError` without Java or if a program fails.

Its Python wrappers are not used. Spice writes into its package folder and downloads CoreNLP when it is created. Meteor
holds a lock that it does not release if Java ends, so that its destructor waits forever, and never reads Java's error
stream.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import json
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from looksay.errors import MetricError, MissingExtra
from looksay.metrics.ngrams import Caption

_SEPARATOR = " ||| "
# METEOR cannot read its own numbers where the user's language writes a decimal comma.
_PLAIN = (
    "-Dfile.encoding=UTF-8 -Duser.language=en -Duser.language.format=en -Duser.country=US -Duser.country.format=US"
).split()
_METEOR = ["-Xmx2G", *_PLAIN, *"-jar meteor-1.5.jar - - -stdio -l en -norm".split()]
_SPICE = ["-Xmx8G", *_PLAIN, *"-jar spice-1.0.jar".split()]
_CORENLP = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
# SPICE uses classes that Java 16 and later close by default; Java 8 ignores this variable.
_OPEN_MODULES = " ".join(
    f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in "lang math net text util util.concurrent".split()
)


class Meteor:
    """METEOR 1.5 (Denkowski and Lavie 2014) in a Java process that is kept alive."""

    def __init__(self) -> None:
        folder, java = _package() / "meteor", _java()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process)
        self._process = subprocess.Popen(  # noqa: S603
            [java, *_METEOR], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            encoding="utf-8", errors="replace",
        )  # fmt: skip
        atexit.register(self.close)

    def scores(
        self, predictions: Sequence[Caption], references: Sequence[Sequence[Caption]]
    ) -> tuple[float, list[float]]:
        """Return the score of a corpus of tokens, which is not the mean, and the scores of its images; 0 to 1."""
        try:
            pairs = zip(predictions, references, strict=True)
            statistics = [self._ask("SCORE", *map(_text, captions), _text(caption)) for caption, captions in pairs]
            answers = [self._ask("EVAL", *statistics), *(self._read() for _ in statistics)]
            *image_scores, corpus = map(float, answers)
        except (OSError, ValueError) as error:
            meteor_process.cache_clear()
            self._process.kill()
            code = self._process.wait()
            self._errors.seek(0)
            output = self._errors.read().decode(errors="replace")
            self.close()
            raise MetricError(f"METEOR's Java process ended: {_reason(output, code)}") from error
        return corpus, image_scores

    def close(self) -> None:
        """End the process."""
        atexit.unregister(self.close)
        with contextlib.suppress(BrokenPipeError), self._errors, self._process:  # the pipe may hold unread text
            self._process.kill()

    def _ask(self, *fields: str) -> str:
        print(*fields, sep=_SEPARATOR, file=self._process.stdin, flush=True)
        return self._read()

    def _read(self) -> str:
        assert self._process.stdout  # noqa: S101 (a pipe)
        return self._process.stdout.readline().strip()


@functools.cache
def meteor_process() -> Meteor:
    """Return the METEOR process, started on the first call, as loading its tables takes seconds."""
    return Meteor()


def check(*, meteor: bool = False, spice: bool = False) -> None:
    """Raise an error if a requested metric cannot run, before captions are generated."""
    if meteor:
        meteor_process().scores([["a"]], [[["a"]]])
    if spice:
        _spice_folder()


def spice(predictions: Sequence[Caption], references: Sequence[Sequence[Caption]]) -> tuple[float, list[float]]:
    """Return SPICE (Anderson et al. 2016) as its mean and the scores of the images; see `Meteor.scores`.

    It takes minutes and gigabytes of memory, and needs Stanford CoreNLP 3.6.0.
    """
    folder, java = _spice_folder(), _java()
    rows = [
        {"image_id": index, "test": _text(caption), "refs": [_text(other) for other in captions]}
        for index, (caption, captions) in enumerate(zip(predictions, references, strict=True))
    ]
    with tempfile.TemporaryDirectory() as temporary:
        given, output = Path(temporary, "in.json"), Path(temporary, "out.json")
        given.write_text(json.dumps(rows), encoding="utf-8")
        result = subprocess.run(  # noqa: S603
            [java, *_SPICE, given, "-out", output, "-subset", "-silent"], cwd=folder, check=False,
            env=os.environ | {"JDK_JAVA_OPTIONS": _OPEN_MODULES}, capture_output=True, encoding="utf-8",
            errors="replace",
        )  # fmt: skip
        if result.returncode or not output.is_file():
            raise MetricError(f"SPICE failed: {_reason(result.stderr or result.stdout, result.returncode)}")
        results = sorted(json.loads(output.read_text(encoding="utf-8")), key=lambda row: int(row["image_id"]))
    values = [row["scores"]["All"]["f"] for row in results]
    scores = [math.nan if value is None else float(value) for value in values]  # None: 0 / 0, without any object
    return sum(scores) / len(scores), scores


def _package() -> Path:
    package = importlib.util.find_spec("pycocoevalcap")
    if package is None or not package.submodule_search_locations:
        raise MissingExtra("Scoring with METEOR or SPICE", "metrics")
    return Path(package.submodule_search_locations[0])


def _spice_folder() -> Path:
    folder = _package() / "spice"
    _java()
    missing = [name for name in _CORENLP if not (folder / "lib" / name).is_file()]
    if missing:
        raise MetricError(
            f"SPICE needs {' and '.join(missing)} of Stanford CoreNLP 3.6.0 in {folder / 'lib'}; download them with "
            'python -c "from pycocoevalcap.spice.get_stanford_models import *; get_stanford_models()"'
        )
    return folder


def _java() -> str:
    java = shutil.which("java") or shutil.which("java", path=Path(os.environ.get("JAVA_HOME", ""), "bin"))
    if java is None:
        raise MetricError(
            "METEOR and SPICE need java, which is neither on the PATH nor in JAVA_HOME; install a Java runtime (JRE)"
        )
    return java


def _reason(output: str, code: int) -> str:
    """Return Java's messages without notes and stack traces."""
    lines = [line for line in output.splitlines() if line.strip() and not line.startswith(("\t", "Picked up", "NOTE"))]
    return " ".join(lines)[:500] or f"exit code {code}"


def _text(caption: Caption) -> str:
    return " ".join(map(str, caption))
