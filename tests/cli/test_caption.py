"""The caption command: formats, sidecar files, errors and exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import EXAMPLES, SAMPLES
from PIL import Image

import looksay
from looksay.cli.main import main
from looksay.runtime import hub
from looksay.runtime.bundle import seal
from looksay.types import ModelSpec


def run(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Four photos, a broken one and a text file."""
    folder = Path(shutil.copytree(EXAMPLES, tmp_path / "album"))
    (folder / "broken.jpg").write_bytes(b"broken")
    return folder


@pytest.fixture(scope="module")
def untagged_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default model without tags and with another vocabulary."""
    folder = Path(shutil.copytree(hub.locate(), tmp_path_factory.mktemp("bundles") / "untagged"))
    (folder / "tags.json").unlink()
    vocabulary = folder / "vocabulary.json"
    vocabulary.write_text(vocabulary.read_text(encoding="utf-8").replace('"boats"', '"ships2"'), encoding="utf-8")
    seal(folder, ModelSpec.from_json(json.loads((folder / "model.json").read_text(encoding="utf-8"))))
    return folder


def test_the_shortest_command_prints_the_caption_and_nothing_else() -> None:
    photo = EXAMPLES / "photographer.png"
    for arguments in ([photo], ["caption", photo]):
        result = run(*arguments)
        assert result.stdout == looksay.caption(photo) + "\n"
        assert (result.stderr, result.exit_code) == ("", 0)


def test_explain_prints_the_tags() -> None:
    photo = EXAMPLES / "boats.jpg"
    caption = looksay.load()(photo)
    assert isinstance(caption, looksay.Caption)
    first, confidence, *lines = run(photo, "--explain").stdout.splitlines()
    assert confidence == f"  confidence {caption.confidence:.0%}"
    assert first == caption.text
    tags = [(f"{tag.probability:.0%}", tag.name, tag.in_caption) for tag in caption.tags]
    assert tags
    assert [(line.split()[0], line.split()[1], "not in the caption" not in line) for line in lines] == tags
    assert run(EXAMPLES, "--explain").stdout.count("\n  ") >= len(SAMPLES)
    assert run(photo, "--no-tags").stdout == looksay.caption(photo, tags=False) + "\n"


def test_several_captions_follow_their_paths() -> None:
    result = run(EXAMPLES)
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [Path(path).name for path, _ in lines] == sorted(SAMPLES)
    assert [caption for _, caption in lines] == [looksay.caption(path) for path, _ in lines]


def test_a_broken_image_is_reported_and_the_others_are_captioned(album: Path) -> None:
    result = run(album, "--format", "jsonl")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [Path(row["image"]).name for row in rows] == sorted([*SAMPLES, "broken.jpg"])
    assert all(
        set(row) == {"image", "caption", "confidence", "log_prob", "tags"} and row["log_prob"] < 0
        for row in rows
        if "error" not in row
    )
    (error,) = (row["error"] for row in rows if "error" in row)
    assert error.startswith(f"{album / 'broken.jpg'}: this is not an image in a format that looksay reads (JPEG, ")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [f"looksay: {error}", "looksay: 1 of 7 images failed"]


def test_csv_has_one_row_a_caption(album: Path) -> None:
    result = run(album, "--format", "csv", "--num-captions", 2)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert len(rows) == 2 * len(SAMPLES) + 1
    assert [row["error"] != "" for row in rows].count(True) == 1
    assert float(rows[0]["log_prob"]) < 0


def test_several_captions_an_image_in_text_and_jsonl() -> None:
    photo = EXAMPLES / "boats.jpg"
    texts = run(photo, "--num-captions", 3).stdout.splitlines()
    row = json.loads(run(photo, "--num-captions", 3, "--format", "jsonl").stdout)
    assert [row["caption"], *(other["caption"] for other in row["others"])] == texts
    assert len(set(texts)) == 3
    assert run(photo, "--num-beams", 5, "--num-captions", 5).stdout.count("\n") == 5


def test_an_image_on_standard_input() -> None:
    data = (EXAMPLES / "boats.jpg").read_bytes()
    assert run("-", stdin=data).stdout == run(EXAMPLES / "boats.jpg").stdout
    assert run("-", stdin=b"").stderr.startswith("looksay: standard input: the file is empty")


def test_output_and_sidecar_files(album: Path, tmp_path: Path) -> None:
    result = run(album, "--output", tmp_path / "captions.txt", "--write", "txt")
    assert result.stdout == ""
    text = (tmp_path / "captions.txt").read_text(encoding="utf-8")
    for photo in SAMPLES:
        caption = (album / photo).with_suffix(".txt").read_text(encoding="utf-8")
        assert f"{album / photo}\t{caption}" in text
    assert not (album / "broken.txt").exists()


def test_globs_are_expanded_if_the_shell_does_not(album: Path) -> None:
    assert len(run(album / "*.jpg").stdout.splitlines()) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["caption"], "Missing argument"),
        (["photo.jpg", "--num-beams", "0"], "'--num-beams': 0 is not in the range 1<=x<=100"),
        (["photo.jpg", "--num-beams", "3", "--num-beam-groups", "2"], "num_beam_groups 2 does not divide num_beams 3"),
        (["photo.jpg", "--top-p", "0"], "is not in the range 0<x<=1"),
        (["https://example.org/a.jpg"], "curl -s https://example.org/a.jpg | looksay -"),
        ([""], "a path is empty"),
        (["-", "-"], "can be named once"),
        (["-", "--write", "txt"], "an image on standard input has none"),
        (["describe"], "no command and no image 'describe'"),
        (["photo.jpg", "--model", "none"], "no model 'none'"),
        (["photo.jpg", "--format", "xml"], "'xml' is not one of"),
        (["photo.jpg", "--output", "no/such/folder/x"], "cannot be written"),
        ([str(EXAMPLES), "--explain", "--format", "jsonl"], "--explain prints to the screen"),
        ([str(Path(__file__).parent)], "no images in"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_clear_line(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_existing_files_are_kept(album: Path) -> None:
    photo, notes = album / "boats.jpg", album / "boats.txt"
    before = photo.read_bytes()
    assert "is one of the images" in run(photo, "--output", photo).stderr
    assert photo.read_bytes() == before
    notes.write_text("my notes", encoding="utf-8")
    result = run(photo, "--write", "txt")
    assert (result.exit_code, result.stderr) == (0, "looksay: 1 existing file kept; use --overwrite to replace\n")
    assert notes.read_text(encoding="utf-8") == "my notes"
    assert "exists; --overwrite replaces it" in run(photo, "--output", notes).stderr
    assert notes.read_text(encoding="utf-8") == "my notes"
    assert run(photo, "--write", "txt", "--overwrite").exit_code == 0
    assert notes.read_text(encoding="utf-8") != "my notes"
    assert "rename one" not in run(album, photo, "--write", "txt", "--overwrite").stderr  # named twice, it is one


def test_images_that_differ_in_their_suffix_have_files_of_their_own(album: Path, tmp_path: Path) -> None:
    shutil.copy(album / "boats.jpg", album / "boats.png")
    maps = tmp_path / "maps"
    assert run(album, "--write", "txt", "--attention", maps).exit_code == 1  # one of the album is broken
    texts = {path.name for path in album.glob("*.txt")}
    assert {"boats.jpg.txt", "boats.png.txt"} <= texts
    assert "boats.txt" not in texts
    assert {path.stem for path in maps.iterdir()} == {name.removesuffix(".txt") for name in texts}
    (album / "more").mkdir()
    shutil.copy(album / "alps.jpg", album / "more")
    assert "alps.jpg: rename one of them" in run(album, "--attention", maps, "--overwrite").stderr


def test_a_sidecar_file_that_cannot_be_written_is_reported(album: Path) -> None:
    (album / "alps.txt").mkdir()
    result = run(album / "alps.jpg", album / "boats.jpg", "--write", "txt", "--overwrite")
    assert result.exit_code == 1
    assert f"looksay: {album / 'alps.txt'} cannot be written: Is a directory" in result.stderr
    assert (album / "boats.txt").is_file()


def test_file_names_of_any_bytes_are_printed_in_any_locale(tmp_path: Path) -> None:
    names = [os.fsencode(tmp_path) + b"/Fotos \xc3\xa9 \xe6\x97\xa5 " + end for end in (b"1.jpg", b"\xff.jpg")]
    for name in names:
        Path(os.fsdecode(name)).write_bytes((EXAMPLES / "boats.jpg").read_bytes())
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    for layout in ("text", "csv"):
        command = [sys.executable, "-m", "looksay", str(tmp_path), "--format", layout]
        result = subprocess.run(command, check=True, capture_output=True, env=environment)
        written = names if layout == "text" else [name.replace(b"\xff", b"\\udcff") for name in names]
        assert all(name in result.stdout for name in written)  # a CSV file is UTF-8 whatever the names are
    result = subprocess.run([*command[:4], "--format", "jsonl"], check=True, capture_output=True, env=environment)
    assert [json.loads(line)["image"] for line in result.stdout.decode().splitlines()] == list(map(os.fsdecode, names))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_reported_in_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "looksay", str(EXAMPLES)]
        result = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 2
    assert "standard output cannot be written: No space left on device" in result.stderr
    assert "Traceback" not in result.stderr


def test_wrong_usage_keeps_an_existing_output(tmp_path: Path) -> None:
    (tmp_path / "captions.txt").write_text("earlier", encoding="utf-8")
    assert run(EXAMPLES, "--num-beams", 0, "--output", tmp_path / "captions.txt").exit_code == 2
    assert (tmp_path / "captions.txt").read_text(encoding="utf-8") == "earlier"


def test_a_missing_image_ends_with_1() -> None:
    result = run("none.jpg")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[0] == "looksay: none.jpg: there is no such file"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_progress_bar_is_shown_on_a_terminal(album: Path) -> None:
    import pty

    terminal, process_end = pty.openpty()
    command = [sys.executable, "-m", "looksay", str(album)]
    process = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=process_end, text=True)
    os.close(process_end)
    shown = os.read(terminal, 10_000).decode()
    os.close(terminal)
    assert "captioning" in shown
    assert len(process.stdout.splitlines()) == len(SAMPLES)


def test_attention_maps_are_drawn_and_existing_ones_kept(album: Path, tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    arguments = ["caption", str(EXAMPLES / "boats.jpg"), "--attention", str(maps)]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    with Image.open(maps / "boats.png") as drawn:
        assert drawn.width > 1000
    before = (maps / "boats.png").read_bytes()
    again = CliRunner().invoke(main, arguments)
    assert "1 existing file kept" in again.stderr
    assert (maps / "boats.png").read_bytes() == before
    assert CliRunner().invoke(main, [*arguments, "--overwrite", "--prefix", "a dog"]).exit_code == 0
    assert (maps / "boats.png").read_bytes() != before


def test_models_given_twice_caption_together() -> None:
    photo = str(EXAMPLES / "boats.jpg")
    alone, together = (
        CliRunner().invoke(main, ["caption", photo, *models])
        for models in ([], ["--model", "default", "--model", "default"])
    )
    assert together.exit_code == 0
    assert alone.output == together.output


def test_an_attention_map_never_replaces_an_image(tmp_path: Path) -> None:
    photo = Path(shutil.copy(EXAMPLES / "photographer.png", tmp_path))
    before = photo.read_bytes()
    result = run("caption", photo, "--attention", tmp_path, "--overwrite")
    assert result.exit_code == 2
    assert "is one of the images" in result.output
    assert photo.read_bytes() == before


def test_an_ensemble_needs_the_same_vocabulary(untagged_bundle: Path) -> None:
    result = run("caption", EXAMPLES / "boats.jpg", "--model", "default", "--model", untagged_bundle)
    assert result.exit_code == 2
    assert "another vocabulary" in result.stderr


def test_explain_needs_a_model_with_tags(untagged_bundle: Path) -> None:
    result = run(EXAMPLES / "boats.jpg", "--explain", "--model", untagged_bundle)
    assert (result.exit_code, "does not recognise objects" in result.stderr) == (2, True)


def test_attention_needs_a_model_with_a_grid(untagged_bundle: Path, tmp_path: Path) -> None:
    pooled = shutil.copytree(untagged_bundle, tmp_path / "pooled")
    facts = json.loads((pooled / "model.json").read_text(encoding="utf-8")) | {"grid": [1, 1]}
    (pooled / "model.json").write_text(json.dumps(facts), encoding="utf-8")
    maps = tmp_path / "maps"
    result = run("caption", EXAMPLES / "boats.jpg", "--attention", maps, "--model", pooled)
    assert result.exit_code == 2
    assert "has no attention" in result.output
    assert result.stdout == ""
    assert not maps.exists()


def test_one_failed_image_is_counted_in_the_singular(album: Path) -> None:
    result = run(album / "broken.jpg")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1] == "looksay: 1 image failed"
    result = run(album / "broken.jpg", album / "boats.jpg")
    assert result.stdout.startswith(f"{album / 'boats.jpg'}\t")
    assert result.stderr.splitlines()[-1] == "looksay: 1 of 2 images failed"


def test_a_name_that_begins_with_a_dash_gets_a_hint(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(album)
    shutil.copy("boats.jpg", "-dash.jpg")
    result = run("-dash.jpg")
    assert (result.exit_code, "write ./-dash.jpg, or -- before" in result.stderr) == (2, True)
    assert run("./-dash.jpg").stdout == run("caption", "--", "-dash.jpg").stdout == run("boats.jpg").stdout


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses such names")
def test_line_breaks_in_names_are_escaped_in_text(tmp_path: Path) -> None:
    for name in ("two\nlines.jpg", "tab\t.jpg"):
        shutil.copy(EXAMPLES / "boats.jpg", tmp_path / name)
    lines = run(tmp_path).stdout.splitlines()
    assert [line.partition("\t")[0] for line in lines] == [f"{tmp_path}/tab\\t.jpg", f"{tmp_path}/two\\nlines.jpg"]


def test_an_unreadable_file_is_reported_in_plain_words(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", refuse)
    result = run(album / "boats.jpg")
    assert result.stderr.splitlines()[0] == f"looksay: {album / 'boats.jpg'}: permission denied"
