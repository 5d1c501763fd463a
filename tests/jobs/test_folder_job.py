"""Whoever captions an archive can stop at any moment, even by pulling the plug, and lose nothing and repeat nothing."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import EXAMPLES, PHOTOS

from looksay.cli.main import main
from looksay.jobs.disk_set import DiskSet

LAYOUTS = ("captions.jsonl", "captions.csv", "captions.db")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["caption", *map(str, arguments), "--num-beams", "1"])


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight photos in three folders, one of them broken."""
    monkeypatch.chdir(tmp_path)
    for folder in ("b", "a", "a/deeper"):
        shutil.copytree(EXAMPLES, tmp_path / "album" / folder, dirs_exist_ok=True, ignore=_three)
    (tmp_path / "album" / "a" / "broken.jpg").write_bytes(b"broken")
    return Path("album")


def _three(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name not in PHOTOS[:3]]


def rows(file: Path) -> list[tuple[str, str | None]]:
    """Return images and captions, in order."""
    if file.suffix == ".db":
        with sqlite3.connect(file) as table:
            return table.execute("SELECT image, caption FROM captions ORDER BY id").fetchall()
    text = file.read_text(encoding="utf-8", errors="surrogateescape")
    assert text.endswith("\n")
    if file.suffix == ".csv":
        return [(row["image"], row["caption"] or None) for row in csv.DictReader(text.splitlines())]
    return [(row["image"], row.get("caption")) for row in map(json.loads, text.splitlines()[1:])]


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_image_has_a_row_in_order_and_a_second_run_adds_nothing(name: str, album: Path) -> None:
    assert run(album, "--output", name).exit_code == 1  # the broken one
    found = rows(Path(name))
    assert [image for image, _ in found] == sorted(image for image, _ in found)
    assert [image for image, caption in found if caption is None] == ["album/a/broken.jpg"]
    assert len(found) == 10
    before = Path(name).read_bytes()
    again = run(album, "--output", name)
    assert again.exit_code == 1
    assert "1 of the 10 images before had failed" in again.stderr
    assert rows(Path(name)) == found
    assert name.endswith(".db") or Path(name).read_bytes() == before


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_new_or_changed_is_captioned_and_nothing_else(name: str, album: Path) -> None:
    run(album, "--output", name)
    earlier = dict(rows(Path(name)))
    boats, alps = album / "a" / "boats.jpg", album / "b" / "alps.jpg"
    shutil.copy(boats, alps)
    shutil.copy(boats, album / "a" / "new.jpg")
    (album / "b" / "boats.jpg").unlink()
    result = run(album, "--output", name)
    assert "that have changed since captions" in result.stderr
    later = dict(rows(Path(name)))
    assert list(later)[-2:] == [str(album / "a" / "new.jpg"), str(alps)]
    assert later[str(alps)] == later[str(album / "a" / "new.jpg")] == earlier[str(boats)] != earlier[str(alps)]
    assert {image: later[image] for image in earlier if image != str(alps)} == {
        image: caption for image, caption in earlier.items() if image != str(alps)
    }
    shutil.copy(album / "a" / "alps.jpg", boats)
    run(album, "--output", name, "--only-missing")
    assert dict(rows(Path(name))) == later


@pytest.mark.parametrize("name", LAYOUTS)
def test_captions_of_another_model_or_search_are_never_mixed(name: str, album: Path) -> None:
    run(album, "--output", name)
    found = rows(Path(name))
    result = run(album, "--output", name, "--max-length", 4)
    assert result.exit_code == 2
    assert "another model or search" in result.stderr
    assert rows(Path(name)) == found
    assert run(album, "--output", name, "--max-length", 4, "--overwrite").exit_code == 1
    assert all(len(caption.split()) <= 4 for _, caption in rows(Path(name)) if caption)


@pytest.mark.parametrize("name", LAYOUTS)
def test_another_file_is_refused_and_left(name: str, album: Path) -> None:
    Path(name).write_text("image,caption\nmy,own\n", encoding="utf-8")
    result = run(album, "--output", name)
    assert result.exit_code == 2
    assert name in result.stderr
    assert Path(name).read_text(encoding="utf-8") == "image,caption\nmy,own\n"


@pytest.mark.parametrize("name", LAYOUTS[:2])
def test_a_line_that_is_cut_anywhere_is_written_again(name: str, album: Path) -> None:
    run(album / "b", "--output", name)
    whole = Path(name).read_bytes()
    cuts = np.random.default_rng(0).integers(1, len(whole), 6).tolist()
    for cut in (1, whole.index(b"\n"), whole.index(b"\n") + 1, len(whole) - 1, *cuts):
        Path(name).write_bytes(whole[:cut])
        assert run(album / "b", "--output", name).exit_code == 0
        assert Path(name).read_bytes() == whole, cut


def test_a_line_that_is_no_row_is_named(album: Path) -> None:
    run(album, "--output", "captions.jsonl")
    lines = Path("captions.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    Path("captions.jsonl").write_text("".join([*lines[:3], "{}\n", *lines[3:]]), encoding="utf-8")
    result = run(album, "--output", "captions.jsonl")
    assert result.exit_code == 2
    assert "captions.jsonl, line 4: this is no row of looksay's" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_job_that_is_stopped_goes_on_and_ends_as_if_it_never_was(
    name: str, stop: signal.Signals, album: Path
) -> None:
    for number in range(60):
        os.link(album / "b" / "boats.jpg", album / f"{number}.jpg")
    run(album, "--output", f"whole-{name}")
    stopped = 0
    for delay in (0.6, 0.9, 1.2, None):
        command = [
            sys.executable,
            "-m",
            "looksay",
            "caption",
            str(album),
            "--output",
            name,
            "--num-beams",
            "1",
            "--batch",
            "2",
        ]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        if delay:
            time.sleep(delay)
            process.send_signal(stop)
        _, told = process.communicate()
        stopped += process.returncode not in (0, 1)
        assert "Traceback" not in told
    assert stopped >= 2
    assert rows(Path(name)) == rows(Path(f"whole-{name}"))
    if not name.endswith(".db"):
        assert Path(name).read_bytes() == Path(f"whole-{name}").read_bytes()


def test_names_of_any_bytes_are_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (b"\xff.jpg", b"two\nlines.jpg", "é 日.jpg".encode()):
        (tmp_path / "album").mkdir(exist_ok=True)
        shutil.copy(EXAMPLES / "boats.jpg", Path(os.fsdecode(b"album/" + name)))
    for output in map(Path, LAYOUTS):
        for _ in range(2):
            assert run("album", "--output", output).exit_code == 0
            assert len(rows(output)) == len(dict(rows(output))) == 3


def test_memory_does_not_grow_with_the_names_that_are_known() -> None:
    import tracemalloc

    tracemalloc.start()
    names = DiskSet(f"album/{number:09}.jpg" for number in range(50_000))
    assert len(names) == 50_000
    assert "album/000000007.jpg" in names
    assert not names.add("album/000000007.jpg")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    names.close()


@pytest.mark.parametrize("name", LAYOUTS)
def test_two_jobs_never_write_to_one_file(name: str, album: Path) -> None:
    from looksay.atomic_files import lock

    with lock(Path(name)):
        result = run(album, "--output", name)
    assert (result.exit_code, f"{name} is being written by another looksay" in result.stderr) == (2, True)
    assert run(album / "b", "--output", name).exit_code == 0
    assert not [file.name for file in Path().iterdir() if file.name.startswith(".")]


def test_a_job_does_not_caption_what_it_draws_nor_what_is_hidden(album: Path) -> None:
    shutil.copy(album / "b" / "boats.jpg", album / "b" / ".hidden.jpg")
    for _ in range(2):
        assert run(album / "b", "--output", "captions.jsonl", "--attention", album / "b" / "looks").exit_code == 0
        assert len(rows(Path("captions.jsonl"))) == 3
    assert len(list((album / "b" / "looks").iterdir())) == 3


def test_standard_input_has_no_name_to_go_on_by(album: Path) -> None:
    data = [(album / "b" / photo).read_bytes() for photo in ("alps.jpg", "boats.jpg")]
    said = [
        CliRunner().invoke(main, ["caption", "-", "--output", f"{number}.jsonl"], input=each).exit_code
        for number, each in enumerate(data)
    ]
    assert said == [0, 0]
    assert Path("0.jsonl").read_text(encoding="utf-8") != Path("1.jsonl").read_text(encoding="utf-8")
    assert CliRunner().invoke(main, ["caption", "-", "--output", "0.jsonl"], input=data[0]).exit_code == 2


def test_what_could_not_be_written_beside_a_image_is_tried_again(album: Path) -> None:
    (album / "b" / "alps.txt").mkdir()
    arguments = (album / "b", "--output", "captions.jsonl", "--write", "txt", "--overwrite")
    assert run(*arguments).exit_code == 1
    assert len(rows(Path("captions.jsonl"))) == 2
    (album / "b" / "alps.txt").rmdir()
    assert run(*arguments[:-1]).exit_code == 0
    assert len(rows(Path("captions.jsonl"))) == 3
    assert (album / "b" / "alps.txt").is_file()
