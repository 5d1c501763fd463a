"""The caption command on a finished job: its captions are written to sidecar files."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import EXAMPLES

from looksay.captioner import Captioner
from looksay.cli.main import main
from looksay.runtime import hub
from looksay.runtime.bundle import Bundle, seal


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["caption", *map(str, arguments), "--num-captions", "2", "--num-beams", "2"])


def best_captions(file: Path) -> dict[str, str]:
    """Return the first caption of each image by its name."""
    if file.suffix == ".db":
        database = sqlite3.connect(file)
        captions = dict(database.execute("SELECT image, caption FROM captions").fetchall())
        database.close()
        return captions
    text = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    rows = list(csv.DictReader(text)) if file.suffix == ".csv" else list(map(json.loads, text[1:]))
    return {row["image"]: row["caption"] for row in reversed(rows)}


@pytest.mark.parametrize("name", ["captions.jsonl", "captions.csv", "captions.db"])
def test_captions_of_a_finished_job_are_written_to_sidecar_files(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Captioning many photos again would take hours."""
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        Path(folder).mkdir()
        for photo in ("alps.jpg", "boats.jpg"):
            shutil.copy(EXAMPLES / photo, folder)
    boats = Path("b", "boats.jpg").read_bytes()
    assert run("a", "b", "--output", name).exit_code == 0
    captions = best_captions(Path(name))
    Path("a", "boats.txt").write_text("mine", encoding="utf-8")
    monkeypatch.setattr(Captioner, "outcomes", lambda *_, **__: iter(()))
    arguments = ("a", "b/alps.jpg", "--output", name, "--write", "txt", "--write", "xmp")
    result = run(*arguments)
    assert result.exit_code == 0
    assert f"captions of 3 images in {name} written to sidecar files" in result.stderr
    for image in ("a/alps.jpg", "b/alps.jpg"):
        assert Path(image).with_suffix(".txt").read_text(encoding="utf-8") == f"{captions[image]}\n"
        assert captions[image].encode() in Path(image).read_bytes()
    assert Path("a", "boats.txt").read_text(encoding="utf-8") == "mine"
    assert captions["a/boats.jpg"].encode() in Path("a", "boats.jpg").read_bytes()
    assert Path("b", "boats.jpg").read_bytes() == boats  # it was not named
    assert run(*arguments).stderr == f"looksay: resuming {name}: 4 images done\n"
    assert best_captions(Path(name)) == captions


def test_a_sidecar_file_of_a_finished_job_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    photo, output = tmp_path / "broken.jpg", tmp_path / "captions.csv"
    data, xmp = (EXAMPLES / "boats.jpg").read_bytes(), b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:RDF>"
    photo.write_bytes(data[:2] + b"\xff\xe1" + (len(xmp) + 2).to_bytes(2) + xmp + data[2:])
    assert run(photo, "--output", output).exit_code == 0
    result = run(photo, "--output", output, "--write", "xmp")
    assert result.exit_code == 1
    assert result.stderr.count("broken.jpg: cannot write into its metadata") == 1


@pytest.mark.parametrize("name", ["captions.jsonl", "captions.csv", "captions.db"])
def test_corrections_replace_captions_for_good_and_wherever_they_were_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for photo in ("alps.jpg", "boats.jpg", "cat.jpg"):
        shutil.copy(EXAMPLES / photo, tmp_path)
    job = ("alps.jpg", "boats.jpg", "cat.jpg", "--output", name, "--write", "txt", "--write", "xmp")
    assert run(*job).exit_code == 0
    before = best_captions(Path(name))
    Path("corrections.csv").write_text('image,caption\nboats.jpg,"two boats,  ""moored"""\nx.jpg,nothing\n')
    result = run(*job, "--corrections", "corrections.csv")
    assert result.exit_code == 0
    assert f"corrections.csv corrects 1 image that {name} does not hold: x.jpg" in result.stderr
    corrected = before | {"boats.jpg": 'two boats, "moored"'}
    assert best_captions(Path(name)) == corrected
    assert Path("boats.txt").read_text(encoding="utf-8") == 'two boats, "moored"\n'
    assert before["boats.jpg"].encode() not in Path("boats.jpg").read_bytes()
    assert b"two boats, " in Path("boats.jpg").read_bytes()
    assert Path("cat.txt").read_text(encoding="utf-8") == before["cat.jpg"] + "\n"
    with Path("boats.jpg").open("ab") as changed:
        changed.write(b"edited")  # a correction outlives the edit of a photo
    assert run(*job).exit_code == 0
    assert best_captions(Path(name)) == corrected
    if name.endswith(".db"):
        found = CliRunner().invoke(main, ["find", "moored", name])
        assert found.stdout == 'boats.jpg\ttwo boats, "moored"\n'


def test_corrections_need_a_finished_job_and_a_table(tmp_path: Path) -> None:
    table, output = tmp_path / "corrections.csv", tmp_path / "captions.jsonl"
    table.write_text("photo,text\n1.jpg,x\n")
    job = (EXAMPLES / "cat.jpg", "--output", output)
    assert "--corrections needs the --output of a finished job" in run(*job, "--corrections", table).stderr
    assert run(*job).exit_code == 0
    assert "has no columns image and caption" in run(*job, "--corrections", table).stderr
    table.write_text("image,caption\ncat.jpg,\n")
    assert "line 2: the caption of cat.jpg is empty" in run(*job, "--corrections", table).stderr
    assert "--review needs --output" in run(EXAMPLES / "cat.jpg", "--review", tmp_path / "r.html").stderr


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
@pytest.mark.parametrize("name", ["captions.jsonl", "captions.csv", "captions.db"])
def test_a_name_of_any_bytes_is_corrected_from_a_spreadsheet(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photo = os.fsdecode(b"\xff.jpg")
    shutil.copy(EXAMPLES / "cat.jpg", photo)
    job = (photo, "--output", name)
    result = run(*job, "--review", "review.html")
    assert result.exit_code == 0, result.output
    assert 'name="\\udcff.jpg"' in Path("review.html").read_text(encoding="utf-8")
    Path("corrections.csv").write_bytes("\ufeffimage;caption\r\n\\udcff.jpg;eine Katze, müde\r\n".encode())
    assert run(*job, "--corrections", "corrections.csv").exit_code == 0
    assert list(best_captions(Path(name)).values()) == ["eine Katze, müde"]


def test_an_output_in_an_unknown_format_is_refused(tmp_path: Path) -> None:
    """A file .json with lines of text would be found out too late."""
    result = run(EXAMPLES / "cat.jpg", "--output", tmp_path / "captions.json")
    assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert "captions.json: looksay writes .jsonl, .csv, .db" in result.stderr
    assert run(EXAMPLES / "cat.jpg", "--output", tmp_path / "cat.log", "--format", "text").exit_code == 0


@pytest.mark.parametrize("name", ["captions.jsonl", "captions.csv", "captions.db"])
def test_a_dry_run_counts_and_writes_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for photo in ("alps.jpg", "boats.jpg", "cat.jpg"):
        shutil.copy(EXAMPLES / photo, tmp_path)
    assert run("alps.jpg", "boats.jpg", "--output", name, "--write", "txt").exit_code == 0
    with Path("alps.jpg").open("ab") as changed:
        changed.write(b"edited")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    job = (".", "--output", name, "--write", "txt", "--write", "xmp", "--attention", "maps", "--dry-run")
    result = run(*job)
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        f"looksay: would caption 2 images; 1 of them again; 1 are in {name}",
        "looksay: would write beside or into 7 images, and keep what 2 have",
        f"looksay: would write {name}",
    ]
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()} == before
    other = run(*job, "--temperature", "1")
    assert "captions of another model or other decoding options" in other.stderr


def test_captions_below_the_models_own_confidence_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Path(shutil.copytree(hub.locate(), tmp_path / "strict"))
    spec = Bundle.open(bundle).spec
    seal(bundle, replace(spec, decoding=replace(spec.decoding, min_confidence=0.999)))
    monkeypatch.chdir(tmp_path)
    for photo in ("alps.jpg", "boats.jpg"):
        shutil.copy(EXAMPLES / photo, tmp_path)
    result = run("alps.jpg", "boats.jpg", "--model", "strict", "--output", "captions.jsonl")
    assert result.exit_code == 0
    assert "2 captions left out: their confidence is below 0.999" in result.stderr
