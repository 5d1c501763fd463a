"""The folder job on a cluster: the captions are those of one machine, even if a worker is lost."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from conftest import EXAMPLES, PHOTOS, SAMPLES

import looksay
from looksay.cli.main import main


def write_tar(file: Path, *images: Path, cut: int | None = None) -> None:
    with tarfile.open(file, "w") as tar:
        for number, image in enumerate(images):
            for name, data in ((f"{number}.txt", b"words"), (f"{number}{image.suffix}", image.read_bytes())):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    if cut:
        file.write_bytes(file.read_bytes()[:cut])


def rows(folder: Path) -> list[tuple[str, str | None, str | None]]:
    table = pyarrow.concat_tables(map(pyarrow.parquet.read_table, sorted(folder.glob("part-*.parquet"))))
    return [(row["image"], row["caption"], row["error"]) for row in table.to_pylist()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="finds the worker in /proc")
def test_a_worker_is_killed_and_every_image_has_its_caption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray on this machine with two workers, one of which is killed during the job."""
    import os
    import signal

    monkeypatch.chdir(tmp_path)
    photos = [EXAMPLES / photo for photo in PHOTOS]
    Path("tars").mkdir()
    for number in range(8):
        write_tar(Path(f"tars/{number}.tar"), *photos[number % 4 :], *photos, *photos)
    write_tar(Path("tars/8-cut.tar"), photos[0], photos[1], cut=photos[0].stat().st_size + 4000)
    shutil.copytree(EXAMPLES, "tars/album")
    Path("tars/album/broken.jpg").write_bytes(b"broken")
    arguments = ["caption", "tars", "--engine", "ray", "--workers", "2", "--output", "out"]
    command = [sys.executable, "-m", "looksay", *arguments]
    job = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(Path("out").glob("part-*.parquet")):
        assert time.monotonic() < deadline
        assert job.poll() is None
        time.sleep(0.05)
    os.kill(_workers()[0], signal.SIGKILL)
    _, stderr = job.communicate(timeout=240)
    assert job.returncode == 1, stderr  # the broken image and the cut tar
    assert "Traceback" not in stderr
    captions = rows(Path("out"))
    assert len(captions) == len({image for image, _, _ in captions})

    captioner = looksay.load(threads=1)
    expected = {photo: str(captioner(EXAMPLES / photo)) for photo in SAMPLES}
    for number in range(8):
        of_tar = [caption for image, caption, _ in captions if image.startswith(f"tars/{number}.tar/")]
        assert of_tar == [expected[photo.name] for photo in (*photos[number % 4 :], *photos, *photos)]
    of_album = {Path(image).name: caption for image, caption, _ in captions if "/album/" in image}
    assert of_album == expected | {"broken.jpg": None}
    errors = {image: error for image, _, error in captions if error}
    assert set(errors) == {"tars/album/broken.jpg", "tars/8-cut.tar"}
    assert errors["tars/album/broken.jpg"].startswith("tars/album/broken.jpg: this is not an image")

    written = {part: part.stat().st_mtime_ns for part in Path("out").glob("part-*.parquet")}
    lost = min(written)
    lost.unlink()
    again = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)
    assert "in 1 block," in again.stderr
    assert rows(Path("out")) == captions
    assert all(part.stat().st_mtime_ns == time_ for part, time_ in written.items() if part != lost)
    other = CliRunner().invoke(main, [*arguments, "--num-beams", "5"])
    assert (other.exit_code, "other decoding options" in other.stderr) == (2, True)
    (Path("tars") / "new.jpg").write_bytes(photos[0].read_bytes())
    other = CliRunner().invoke(main, ["caption", "tars/album", "--engine", "ray", "--output", "out"])
    assert (other.exit_code, "the sources have changed" in other.stderr) == (2, True)


def _workers() -> list[int]:
    """Return the ids of Ray's processes that caption."""
    workers = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "cmdline").read_bytes()
        except OSError:  # the process has ended
            continue
        if name.startswith(b"ray::") and b"MapWorker" in name:
            workers.append(int(process.name))
    return workers


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "needs --output FOLDER"),
        (["--output", "out", "--write", "txt"], "--engine ray does not support --write"),
        (["--output", "out", "--num-captions", "2"], "one caption for each image"),
    ],
)
def test_options_that_a_cluster_does_not_support_are_errors(more: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["caption", str(EXAMPLES), "--engine", "ray", *more])
    assert result.exit_code == 2
    assert message in result.stderr
