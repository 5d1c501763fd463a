"""The resumable folder job: nothing is lost or repeated, whenever it is stopped."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import EXAMPLES, PHOTOS

from looksay.atomic_files import lock
from looksay.captioner import Captioner
from looksay.cli import caption_job
from looksay.cli.main import main
from looksay.jobs.disk_set import DiskSet

OUTPUTS = ("captions.jsonl", "captions.csv", "captions.db")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["caption", *map(str, arguments), "--num-beams", "1"])


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nine photos in three folders, and a broken one."""
    monkeypatch.chdir(tmp_path)
    for folder in ("b", "a", "a/deeper"):
        (tmp_path / "album" / folder).mkdir(parents=True, exist_ok=True)
        for photo in PHOTOS[:3]:
            shutil.copy(EXAMPLES / photo, tmp_path / "album" / folder)
    (tmp_path / "album" / "a" / "broken.jpg").write_bytes(b"broken")
    return Path("album")


def rows(file: Path) -> list[tuple[str, str | None]]:
    """Return images and captions, in order."""
    if file.suffix == ".db":
        database = sqlite3.connect(file)
        captions = database.execute("SELECT image, caption FROM captions ORDER BY id").fetchall()
        database.close()
        return captions
    text = file.read_text(encoding="utf-8", errors="surrogateescape")
    assert text.endswith("\n")
    if file.suffix == ".csv":
        return [(row["image"], row["caption"] or None) for row in csv.DictReader(text.splitlines())]
    return [(row["image"], row.get("caption")) for row in map(json.loads, text.splitlines()[1:])]


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_image_has_a_row_in_order_and_a_second_run_adds_nothing(name: str, album: Path) -> None:
    result = run(album, "--output", name)
    assert result.exit_code == 1
    assert "looksay: 1 of 10 images failed" in result.stderr
    captions = rows(Path(name))
    assert [image for image, _ in captions] == sorted(image for image, _ in captions)
    assert [image for image, caption in captions if caption is None] == ["album/a/broken.jpg"]
    assert len(captions) == 10
    before = Path(name).read_bytes()
    again = run(album, "--output", name)
    assert again.exit_code == 1
    assert again.stderr.splitlines() == [
        f"looksay: resuming {name}: 10 images done", f"looksay: 1 image failed in an earlier run; see {name}",
    ]  # fmt: skip
    assert rows(Path(name)) == captions
    assert name.endswith(".db") or Path(name).read_bytes() == before


@pytest.mark.parametrize("name", OUTPUTS)
def test_only_new_and_changed_images_are_captioned(name: str, album: Path) -> None:
    run(album, "--output", name)
    earlier = dict(rows(Path(name)))
    boats, alps = album / "a" / "boats.jpg", album / "b" / "alps.jpg"
    shutil.copy(boats, alps)
    shutil.copy(boats, album / "a" / "new.jpg")
    (album / "b" / "boats.jpg").unlink()
    result = run(album, "--output", name)
    assert f"looksay: 1 image changed since {name} was written" in result.stderr
    later = dict(rows(Path(name)))
    assert list(later)[-2:] == [str(album / "a" / "new.jpg"), str(alps)]
    assert later[str(alps)] == later[str(album / "a" / "new.jpg")] == earlier[str(boats)] != earlier[str(alps)]
    unchanged = earlier.keys() - {str(alps)}
    assert {image: later[image] for image in unchanged} == {image: earlier[image] for image in unchanged}
    shutil.copy(album / "a" / "alps.jpg", boats)
    run(album, "--output", name, "--only-missing")
    assert dict(rows(Path(name))) == later


@pytest.mark.parametrize("name", OUTPUTS)
def test_captions_of_other_decoding_options_are_never_mixed(name: str, album: Path) -> None:
    run(album / "b", "--output", name)
    captions = rows(Path(name))
    result = run(album / "b", "--output", name, "--max-length", 4)
    assert result.exit_code == 2
    assert "another model or other decoding options" in result.stderr
    assert rows(Path(name)) == captions
    assert run(album / "b", "--output", name, "--max-length", 4, "--overwrite").exit_code == 0
    assert all(len(caption.split()) <= 4 for _, caption in rows(Path(name)) if caption)


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_file_of_another_program_is_not_changed(name: str, album: Path) -> None:
    Path(name).write_text("image,caption\nmy,own\n", encoding="utf-8")
    result = run(album, "--output", name)
    assert result.exit_code == 2
    assert name in result.stderr
    assert Path(name).read_text(encoding="utf-8") == "image,caption\nmy,own\n"


@pytest.mark.parametrize("name", OUTPUTS[:2])
def test_a_file_that_is_cut_anywhere_is_repaired(name: str, album: Path) -> None:
    run(album / "b", "--output", name)
    complete = Path(name).read_bytes()
    cuts = np.random.default_rng(0).integers(1, len(complete), 3).tolist()
    for cut in (1, complete.index(b"\n"), complete.index(b"\n") + 1, len(complete) - 1, *cuts):
        Path(name).write_bytes(complete[:cut])
        assert run(album / "b", "--output", name).exit_code == 0
        assert Path(name).read_bytes() == complete, cut


@pytest.mark.parametrize(("name", "row"), [
    ("captions.jsonl", "{}"), ("captions.jsonl", "[1]"), ("captions.jsonl", '{"image": "a", "tags": []}'),
    ("captions.csv", ""), ("captions.csv", "a\rb"), ("captions.csv", "x" * 200_000),
])  # fmt: skip
@pytest.mark.parametrize("place", [1, 3])
def test_an_invalid_row_is_an_error_with_its_line(name: str, row: str, place: int, album: Path) -> None:
    run(album / "b", "--output", name)
    lines = Path(name).read_text(encoding="utf-8").splitlines(keepends=True)
    Path(name).write_text("".join([*lines[:place], f"{row}\n", *lines[place:]]), encoding="utf-8")
    result = run(album / "b", "--output", name)
    assert result.exit_code == 2
    is_format = name.endswith("csv") and place == 1  # the first row of a table has its provenance
    problem = " holds no captions" if is_format else f", line {place + 1}: this is not a row"
    assert f"{name}{problem} of looksay" in result.stderr


@pytest.mark.parametrize("name", OUTPUTS)
def test_of_several_captions_of_an_image_the_best_is_its_entry(name: str, album: Path) -> None:
    """Others must not be reviewed or corrected in its place."""
    result = run(album / "b", "--output", name, "--num-captions", 2, "--review", "review.html")
    assert "3 captions to review in review.html" in result.stderr


def test_a_long_job_without_a_terminal_reports_its_progress(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caption_job, "_REPORT_SECONDS", 0)
    lines = run(album / "b", "--output", "captions.jsonl").stderr.splitlines()
    assert re.fullmatch(r"looksay: 2 of 3 images, \d+ a second, 0 minutes left", lines[1])
    assert run("album/b/boats.jpg", "--output", "one.jsonl").stderr == ""


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_interrupted_job_is_resumed_with_the_same_result(
    name: str, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(album, "--output", f"complete-{name}")
    outcomes = Captioner.outcomes

    def interrupted(*args: Any, **options: Any) -> Iterator[Any]:
        for number, outcome in enumerate(outcomes(*args, **options)):
            if number == 4:
                raise KeyboardInterrupt
            yield outcome

    monkeypatch.setattr(Captioner, "outcomes", interrupted)
    first = run(album, "--output", name)
    assert first.exit_code == 130
    assert "looksay: stopped after 4 images; run the same command again to resume" in first.stderr
    assert len(rows(Path(name))) == 4
    assert "run the same command without --overwrite" in run(album, "--output", name, "--overwrite").stderr
    monkeypatch.setattr(Captioner, "outcomes", outcomes)
    assert "4 images done" in run(album, "--output", name).stderr
    assert rows(Path(name)) == rows(Path(f"complete-{name}"))
    assert name.endswith(".db") or Path(name).read_bytes() == Path(f"complete-{name}").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", OUTPUTS)
def test_a_killed_job_is_resumed_with_the_same_result(name: str, album: Path) -> None:
    for number in range(60):
        os.link(album / "b" / "boats.jpg", album / f"{number}.jpg")
    run(album, "--output", f"complete-{name}")
    command = [sys.executable, "-m", "looksay", "caption", str(album), "--output", name, "--num-beams", "1"]
    process = subprocess.Popen([*command, "--batch", "2"], stderr=subprocess.PIPE, text=True)
    while not Path(name).exists():
        time.sleep(0.02)
    time.sleep(0.5)
    process.kill()
    process.communicate()
    assert process.returncode not in (0, 1)
    again = subprocess.run(command, check=False, capture_output=True, text=True)
    assert again.returncode == 1  # the broken image
    assert "Traceback" not in again.stderr
    assert rows(Path(name)) == rows(Path(f"complete-{name}"))
    assert name.endswith(".db") or Path(name).read_bytes() == Path(f"complete-{name}").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses such names")
def test_file_names_of_any_bytes_are_distinct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "album").mkdir()
    for name in (b"\xff.jpg", b"two\nlines.jpg", "é 日.jpg".encode()):
        shutil.copy(EXAMPLES / "boats.jpg", os.fsdecode(b"album/" + name))
    for output in map(Path, OUTPUTS):
        for _ in range(2):
            assert run("album", "--output", output).exit_code == 0
            assert len(rows(output)) == len(dict(rows(output))) == 3


def test_memory_does_not_grow_with_the_number_of_known_images() -> None:
    import tracemalloc

    tracemalloc.start()
    names = DiskSet(f"album/{number:09}.jpg" for number in range(50_000))
    assert len(names) == 50_000
    assert "album/000000007.jpg" in names
    assert not names.add("album/000000007.jpg")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("name", OUTPUTS)
def test_two_jobs_never_write_to_one_file(name: str, album: Path) -> None:
    with lock(Path(name)):
        result = run(album / "b", "--output", name)
    assert (result.exit_code, f"{name} is being written by another looksay" in result.stderr) == (2, True)
    assert run(album / "b", "--output", name).exit_code == 0
    assert not [file.name for file in Path().iterdir() if file.name.startswith(".")]


def test_an_image_has_one_row_however_its_path_is_spelled(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an output knows would otherwise depend on the working directory, and images take each other's rows."""
    (album / "link").symlink_to("b")
    absolute = album.absolute()
    for output in map(Path, OUTPUTS):
        for spelling in (album / "b", absolute / "b", album / "a" / ".." / "b", album / "link"):
            assert run(spelling, "--output", output).exit_code == 0
        assert [Path(image) for image, _ in rows(output)] == [album / "b" / photo for photo in PHOTOS[:3]]
        with monkeypatch.context() as patch:
            for folder in ("b", "a/deeper"):
                patch.chdir(absolute / folder)
                assert run("boats.jpg", "--output", absolute.parent / output).exit_code == 0
        names = [image for image, _ in rows(output)]
        assert (len(names), names[-1]) == (4, str(album / "a" / "deeper" / "boats.jpg"))


def test_a_link_that_leads_nowhere_is_an_image_that_failed(album: Path) -> None:
    """It would otherwise be left out in silence."""
    (album / "b" / "lost.jpg").symlink_to("nothing.jpg")
    result = run(album / "b", "--output", "captions.jsonl")
    assert (result.exit_code, len(rows(Path("captions.jsonl")))) == (1, 4)
    assert "lost.jpg: there is no such file" in result.stderr


@pytest.mark.parametrize("name", ["captions.jsonl", "captions.csv", "captions.db"])
def test_a_mistyped_name_is_forgotten(name: str, album: Path) -> None:
    """Every later run would else end with 1."""
    assert run(album / "nothing.jpg", "--output", name).exit_code == 1
    assert run(album / "b", "--output", name).exit_code == 0
    assert len(rows(Path(name))) == 3


def test_names_are_relative_to_the_folder_of_the_output(album: Path) -> None:
    """An archive is moved together with the captions in it; captions kept elsewhere name their images in full."""
    run(album / "b", "--output", album / "captions.jsonl")
    run(album / "b", "--output", album / "a" / "captions.jsonl")
    assert rows(album / "captions.jsonl")[0][0] == str(Path("b", "alps.jpg"))
    assert rows(album / "a" / "captions.jsonl")[0][0] == str((album / "b" / "alps.jpg").resolve())
    moved = album.rename("moved")
    shutil.copy(moved / "b" / "boats.jpg", moved / "b" / "alps.jpg")
    assert "1 image changed" in run(moved / "b", "--output", moved / "captions.jsonl").stderr
    assert len(rows(moved / "captions.jsonl")) == 3


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.db"])
def test_an_output_may_have_the_longest_name(name: str, album: Path) -> None:
    output = Path("n" * (255 - len(name)) + name)
    for _ in range(2):
        assert run(album / "b", "--output", output).exit_code == 0
        assert len(rows(output)) == 3
    assert {path.name for path in Path().iterdir()} == {"album", output.name}


def test_a_file_system_without_locks_is_named(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for output in OUTPUTS:
        result = run(album / "b", "--output", output)
        assert (result.exit_code, "without locks: let no other looksay write" in result.stderr) == (0, True)
        assert len(rows(Path(output))) == 3


def test_attention_maps_and_hidden_images_are_not_captioned(album: Path) -> None:
    shutil.copy(album / "b" / "boats.jpg", album / "b" / ".hidden.jpg")
    for _ in range(2):
        assert run(album / "b", "--output", "captions.jsonl", "--attention", album / "b" / "maps").exit_code == 0
        assert len(rows(Path("captions.jsonl"))) == 3
    assert len(list((album / "b" / "maps").iterdir())) == 3


def test_an_image_on_standard_input_is_not_resumed(album: Path) -> None:
    images = [(album / "b" / photo).read_bytes() for photo in ("alps.jpg", "boats.jpg")]
    for number, image in enumerate(images):
        assert CliRunner().invoke(main, ["caption", "-", "--output", f"{number}.jsonl"], input=image).exit_code == 0
    assert Path("0.jsonl").read_text(encoding="utf-8") != Path("1.jsonl").read_text(encoding="utf-8")
    assert CliRunner().invoke(main, ["caption", "-", "--output", "0.jsonl"], input=images[0]).exit_code == 2


def test_a_sidecar_file_that_could_not_be_written_is_tried_again(album: Path) -> None:
    (album / "b" / "alps.txt").mkdir()
    arguments = (album / "b", "--output", "captions.jsonl", "--write", "txt", "--overwrite")
    assert run(*arguments).exit_code == 1
    captions = dict(rows(Path("captions.jsonl")))
    assert captions[str(album / "b" / "alps.jpg")]  # only the sidecar file has failed
    (album / "b" / "alps.txt").rmdir()
    again = run(*arguments[:-1])
    assert again.exit_code == 0
    assert "sidecar files of 1 image could not be written in an earlier run; trying again" in again.stderr
    assert "changed since" not in again.stderr
    assert dict(rows(Path("captions.jsonl"))) == captions
    assert (album / "b" / "alps.txt").is_file()


def test_a_folder_that_cannot_be_listed_fails_and_is_tried_again(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        scandir, locked = os.scandir, str(album / "b")

        def refuse(folder: Any) -> Any:
            if str(folder) == locked:
                raise PermissionError(13, "Permission denied", locked)
            return scandir(folder)

        patch.setattr(os, "scandir", refuse)
        result = run(album, "--output", "captions.jsonl")
    assert result.exit_code == 1
    assert f"looksay: {locked}: " in result.stderr
    assert "looksay: 2 of 8 images failed" in result.stderr
    run(album, "--output", "captions.jsonl")
    assert len(rows(Path("captions.jsonl"))) == 10


def test_an_output_among_the_images_is_refused_in_a_single_walk(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = album / "b" / "boats.jpg"
    before = photo.read_bytes()
    result = run(album, "--output", photo, "--format", "csv", "--overwrite")
    assert (result.exit_code, "is one of the images" in result.stderr) == (2, True)
    assert photo.read_bytes() == before

    walked: list[str] = []
    scandir = os.scandir

    def record(folder: Any) -> Any:
        walked.append(str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", record)
    run(album, "--output", "captions.jsonl")
    assert walked.count(str(album / "a" / "deeper")) == 1
