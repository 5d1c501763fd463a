"""Every file of a folder gets a caption or an error that names it, in bounded time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import fuzz
import numpy as np
import pytest
from conftest import EXAMPLES
from PIL import Image

from looksay import ImageError, images
from looksay.types import ImageSpec

COUNT = int(os.environ.get("LOOKSAY_FUZZ", "400"))
"""Number of broken images; ``LOOKSAY_FUZZ=10000 pytest tests/test_fuzz.py`` for a long run."""

WATCH = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="reads the memory usage from Unix")
def test_broken_images_are_reported_in_bounded_time_and_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, output = tmp_path / "broken", tmp_path / "captions.jsonl"
    fuzz.write(folder, EXAMPLES / "boats.jpg", COUNT)
    command = [sys.executable, "-m", "looksay", "caption", str(folder), "--output", str(output), "--num-beams", "1"]
    start = time.monotonic()
    # The peak memory of a child includes that of its parent at the fork, so a small process starts the job.
    job = subprocess.run([sys.executable, "-c", WATCH, *command], check=False, capture_output=True, text=True)
    seconds = time.monotonic() - start
    assert job.returncode == 1
    assert "Traceback" not in job.stderr
    peak = int(job.stdout) // 1000  # MB
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()[1:]]
    assert [tmp_path / row["image"] for row in rows] == sorted(folder.iterdir())
    assert all(row.get("caption") or row["error"].startswith(str(tmp_path / row["image"])) for row in rows)
    failed = sum("error" in row for row in rows)
    assert COUNT // 5 < failed < COUNT
    assert seconds < 30 + 0.2 * COUNT
    assert peak < 2500  # a header may announce 89 million pixels to each of two workers
    with capsys.disabled():
        sys.stdout.write(f" [{failed} of {COUNT} could not be read, {seconds:.0f} s, {peak} MB] ")


@pytest.mark.parametrize("size", [(1, 1), (20_000, 1), (1, 20_000), (3, 2)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
def test_odd_shapes_are_read(size: tuple[int, int], kind: str, tmp_path: Path) -> None:
    path = tmp_path / "odd"
    Image.new("RGB", size, "red").save(path, kind)
    pixels = images.resize(images.read(path, least=240), ImageSpec(size=240))
    assert np.abs(pixels[120, 120].astype(int) - (255, 0, 0)).max() < 4


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ImageError, match=r"empty\.jpg: the file is empty"):
        images.read(tmp_path / "empty.jpg")
