"""Who has a cluster gets the captions of one machine, whatever machine is lost on the way."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from conftest import EXAMPLES, PHOTOS

import looksay
from looksay.cli.main import main
from looksay.errors import JobError
from looksay.jobs import ray_sources
from looksay.jobs.ray_sources import blocks


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


def test_every_image_is_in_one_block_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_sources, "BLOCK", 2)
    for name in ("a/2.jpg", "a/1.jpg", "a/b/3.jpg", "4.jpg", "5.png", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    found = list(blocks([str(tmp_path)]))
    assert [len(block.paths) for block in found] == [2, 2, 1]
    images = [image for block in found for image in block.images()]
    assert [str(Path(image.name).relative_to(tmp_path)) for image in images] == [
        "4.jpg", "5.png", "a/1.jpg", "a/2.jpg", "a/b/3.jpg",
    ]  # fmt: skip
    assert images[0].data == b"4.jpg"
    (tmp_path / "a" / "sp ace %20#?.jpg").write_bytes(b"odd")
    by_uri = list(blocks([tmp_path.as_uri()]))
    assert b"odd" in [image.data for block in by_uri for image in block.images()]
    (tmp_path / "a" / "sp ace %20#?.jpg").unlink()
    by_uri = list(blocks([tmp_path.as_uri()], without=str(tmp_path / "out")))
    assert [p.data for block in by_uri for p in block.images()] == [p.data for p in images]
    (tmp_path / "0.jpg").touch()
    assert not {block.name for block in found} & {block.name for block in blocks([str(tmp_path)])}
    with pytest.raises(JobError, match="there is no"):
        list(blocks([str(tmp_path / "none")]))


def test_parquet_is_read_as_hugging_face_and_others_write_it(tmp_path: Path) -> None:
    structs = [{"bytes": b"one", "path": "1.jpg"}, {"bytes": None, "path": "2.jpg"}]
    pyarrow.parquet.write_table(pyarrow.table({"image": structs}), tmp_path / "a.parquet", row_group_size=1)
    pyarrow.parquet.write_table(pyarrow.table({"key": ["k"], "jpg": [b"three"]}), tmp_path / "b.parquet")
    found = list(blocks([str(tmp_path)]))
    assert len(found) == 3
    images = [image for block in found for image in block.images()]
    assert [(image.name, image.data) for image in images if isinstance(image.data, bytes)] == [
        ("1.jpg", b"one"), ("k", b"three"),
    ]  # fmt: skip
    assert str(images[1].data) == "the row has no bytes"
    pyarrow.parquet.write_table(pyarrow.table({"words": ["k"]}), tmp_path / "b.parquet")
    with pytest.raises(JobError, match=r"b\.parquet has no column of images .*; it has words"):
        [list(block.images()) for block in blocks([str(tmp_path)])]


@pytest.mark.slow
def test_a_worker_is_killed_and_every_image_has_its_caption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real Ray on this machine; two workers, one of them killed in mid-job."""
    monkeypatch.chdir(tmp_path)
    photos = [EXAMPLES / photo for photo in PHOTOS]
    Path("tars").mkdir()
    for number in range(8):
        write_tar(Path(f"tars/{number}.tar"), *photos[number % 4 :], *photos, *photos)
    write_tar(Path("tars/8-cut.tar"), photos[0], photos[1], cut=photos[0].stat().st_size + 4000)
    shutil.copytree(EXAMPLES, "tars/album")
    Path("tars/album/broken.jpg").write_bytes(b"broken")
    command = [
        sys.executable,
        "-m",
        "looksay",
        "caption",
        "tars",
        "--engine",
        "ray",
        "--workers",
        "2",
        "--output",
        "out",
    ]
    job = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(Path("out").glob("part-*.parquet")):
        assert time.monotonic() < deadline
        assert job.poll() is None
        time.sleep(0.05)
    os.kill(_workers()[0], signal.SIGKILL)
    _, told = job.communicate(timeout=240)
    assert job.returncode == 1, told  # the broken image and the cut tar
    assert "Traceback" not in told
    found = rows(Path("out"))
    assert len(found) == len({image for image, _, _ in found})

    alone = looksay.load(threads=1)
    expected = {photo: alone(EXAMPLES / photo).text for photo in PHOTOS}
    for number in range(8):
        of_tar = [caption for image, caption, _ in found if image.startswith(f"tars/{number}.tar/")]
        assert of_tar == [expected[photo.name] for photo in (*photos[number % 4 :], *photos, *photos)]
    albums = {Path(image).name: caption for image, caption, _ in found if "/album/" in image}
    assert albums == expected | {"broken.jpg": None}
    errors = {image: error for image, _, error in found if error}
    assert set(errors) == {"tars/album/broken.jpg", "tars/8-cut.tar"}
    assert errors["tars/album/broken.jpg"].startswith("tars/album/broken.jpg: this is not an image")

    written = {part: part.stat().st_mtime_ns for part in Path("out").glob("part-*.parquet")}
    lost = min(written)
    lost.unlink()
    again = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)
    assert "in 1 blocks" in again.stderr
    assert rows(Path("out")) == found
    assert all(part.stat().st_mtime_ns == time_ for part, time_ in written.items() if part != lost)
    other = CliRunner().invoke(main, ["caption", "tars", "--engine", "ray", "--output", "out", "--num-beams", "5"])
    assert (other.exit_code, "another model or search" in other.stderr) == (2, True)
    (Path("tars") / "new.jpg").write_bytes(photos[0].read_bytes())
    other = CliRunner().invoke(main, ["caption", "tars/album", "--engine", "ray", "--output", "out"])
    assert (other.exit_code, "the sources have changed" in other.stderr) == (2, True)


def _workers() -> list[int]:
    """Return the processes of Ray that caption."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "cmdline").read_bytes()
        except OSError:  # it has ended meanwhile
            continue
        if name.startswith(b"ray::") and b"MapWorker" in name:
            found.append(int(process.name))
    return found


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "needs --output FOLDER"),
        (["--output", "out", "--write", "txt"], "--engine ray has no --write"),
        (["--output", "out", "--num-captions", "2"], "one caption an image"),
    ],
)
def test_what_a_cluster_cannot_do_is_said(more: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["caption", str(EXAMPLES), "--engine", "ray", *more])
    assert result.exit_code == 2
    assert message in result.stderr
