"""Who types ``looksay evaluate``, ``looksay score`` or ``looksay data`` reads figures that mean what papers mean."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import SAID

from looksay import data
from looksay.cli.main import main
from looksay.metrics import score


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_evaluate_prints_a_table_and_writes_scores_and_a_page(
    small_bundle: Path, small_data: Path, tmp_path: Path
) -> None:
    result = run("evaluate", small_bundle, "--data", small_data, "--num-beams", 2, "--report", "report", "--no-meteor")
    assert result.exit_code == 0, result.output
    scores = json.loads((tmp_path / "report" / "scores.json").read_text(encoding="utf-8"))
    assert scores["images"] == 4
    assert scores["split"] == "val"
    assert re.search(
        r"split val\ndata: Flickr8k, original layout\nreferences: 2 an image; words: coco-caption's", result.stdout
    )
    assert "search: beam 2" in result.stdout
    line = next(line for line in result.stdout.splitlines() if line.startswith("captions "))
    assert line.split()[1:] == [f"{100 * value:.1f}" for value in scores["scores"].values()]
    assert next(line for line in result.stdout.splitlines() if line.startswith("people ")).endswith("against 1 other")

    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)  # needs no other file, and nothing from the network
    assert page.count("<img ") >= 4
    assert "--image: url('data:image/jpeg" in page
    assert all(re.sub("['’].*", "", caption)[:20] in page for caption in SAID.values())

    again = run("score", "report/captions.jsonl", "--references", small_data, "--split", "val", "--no-meteor")
    assert next(row for row in again.stdout.splitlines() if row.startswith("captions ")) == line
    assert json.loads(Path("scores.json").read_text(encoding="utf-8"))["scores"] == scores["scores"]


def test_evaluate_scores_several_models_as_one(small_bundle: Path, small_data: Path, tmp_path: Path) -> None:
    one = run("evaluate", small_bundle, "--data", small_data, "--no-meteor")
    twice = run("evaluate", small_bundle, small_bundle, "--data", small_data, "--no-meteor")
    assert twice.exit_code == 0, twice.output
    lines = [result.stdout.splitlines() for result in (one, twice)]
    captions = [next(row for row in each if row.startswith("captions ")) for each in lines]
    assert captions[0] == captions[1]  # a model agrees with itself
    name = json.loads((small_bundle / "model.json").read_text(encoding="utf-8"))["name"]
    assert f"{name} + {name}" in twice.stdout
    other = run("evaluate", small_bundle, "default", "--data", small_data, "--no-meteor")
    assert other.exit_code == 2
    assert "has another vocabulary than" in other.output


def test_score_needs_no_images(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": f"{n}.jpg"} for n in (1, 2, 3)]
    said = ["a dog runs on grass", "two men talk", "a boat in the harbour"]
    annotations = [
        {"image_id": n, "caption": f"{text} {end}"} for n, text in enumerate(said, 1) for end in ("now", ".")
    ]
    (tmp_path / "captions_val.json").write_text(
        json.dumps({"images": images, "annotations": annotations}), encoding="utf-8"
    )
    results = [{"image_id": n, "caption": text} for n, text in enumerate(said, 1)]
    (tmp_path / "results.json").write_text(json.dumps(results), encoding="utf-8")
    result = run(
        "score",
        "results.json",
        "--references",
        "captions_val.json",
        "--no-meteor",
        "--output",
        "s.json",
        "--report",
        "r",
    )
    assert result.exit_code == 0, result.output
    references = [record.references for record in data.read(tmp_path / "captions_val.json", images=False).records]
    expected = score(said, references)
    assert json.loads(Path("s.json").read_text(encoding="utf-8"))["scores"] == pytest.approx(expected, abs=1e-6)
    assert "no image" in Path("r/report.html").read_text(encoding="utf-8")


def test_one_image_has_no_cider_d_and_the_table_says_so(tmp_path: Path) -> None:
    (tmp_path / "refs.csv").write_text("image,caption\na.jpg,a dog\na.jpg,the dog\n", encoding="utf-8")
    (tmp_path / "said.csv").write_text("image,caption\na.jpg,a dog\n", encoding="utf-8")
    result = run("score", "said.csv", "--references", "refs.csv", "--no-meteor", "--report", "r")
    assert result.exit_code == 0, result.output
    assert "CIDEr-D of one image is undefined" in result.stdout
    assert "CIDEr-D of one image is undefined" in Path("r/report.html").read_text(encoding="utf-8")
    assert json.loads(Path("r/scores.json").read_text(encoding="utf-8"))["scores"]["CIDEr-D"] is None


def test_a_page_escapes_what_captions_say(tmp_path: Path) -> None:
    (tmp_path / "refs.csv").write_text("image,caption\n<b>.jpg,<script>x</script>\nb.jpg,y\n", encoding="utf-8")
    (tmp_path / "said.csv").write_text("image,caption\n<b>.jpg,<script>alert(1)</script>\nb.jpg,\n", encoding="utf-8")
    assert run("score", "said.csv", "--references", "refs.csv", "--no-meteor", "--report", "r").exit_code == 0
    page = Path("r/report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "(nothing)" in page


def test_without_pycocoevalcap_meteor_is_left_out_with_a_word_and_its_absence_is_an_error_if_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "refs.csv").write_text("image,caption\na.jpg,a dog\nb.jpg,a cat\n", encoding="utf-8")
    silent = run("score", "refs.csv", "--references", "refs.csv")
    assert silent.exit_code == 0
    assert "looksay: without METEOR: Scoring with METEOR or SPICE needs more" in silent.stderr
    asked = run("score", "refs.csv", "--references", "refs.csv", "--meteor")
    assert asked.exit_code == 2
    assert asked.stderr.endswith(
        'Scoring with METEOR or SPICE needs more than the base install: pip install "looksay[metrics]"\n'
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["evaluate", "default", "--data", ".", "--batch", "0"], "0 is not in the range"),
        (["evaluate", "default", "--data", "none"], "none: there is no such folder or file"),
        (["evaluate", "nobody", "--data", "."], "is in no layout that looksay knows"),
        (["score", "none.json", "--references", "refs.csv"], "none.json: there is no such file"),
        (["score", "refs.csv", "--references", "refs.csv", "--split", "dev"], "has no dev split; it has train"),
        (["score", "refs.csv", "--references", "refs.csv", "--output", "no/s.json"], "there is no folder no"),
        (["score", "refs.csv", "--references", "refs.csv", "--report", "refs.csv/r"], "refs.csv/r cannot be made"),
        (["data", "refs.csv", "--image-column", "x"], "refs.csv has no column 'x'; it has image, caption"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_2(tmp_path: Path, arguments: list[str], problem: str) -> None:
    (tmp_path / "refs.csv").write_text("image,caption\na.jpg,a dog\nb.jpg,a cat\nc.jpg,x\n", encoding="utf-8")
    if "." in arguments:
        (tmp_path / "refs.csv").unlink()
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert problem in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_data_says_what_a_folder_holds(small_data: Path) -> None:
    result = run("data", small_data)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{small_data}: Flickr8k, original layout\n")
    assert re.search(r"train +16 +32\nval +4 +8\nall +20 +40\n", result.stdout)
    assert "captions an image: 2 (20)" in result.stdout
    assert re.search(r"vocabulary: \d+ words; \d+ occur 2 times or more", result.stdout)
    assert "duplicate captions of an image, kept: 20" in result.stdout


def test_data_opens_every_image_if_asked_and_needs_none_if_told(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no image")
    (tmp_path / "c.csv").write_text("image,caption\na.jpg,a dog\n", encoding="utf-8")
    assert "no problems found" in run("data", tmp_path).stdout
    assert f"{tmp_path / 'a.jpg'}: this is not an image" in run("data", tmp_path, "--check").stdout
    (tmp_path / "a.jpg").unlink()
    assert "none of the 1 images is there" in run("data", tmp_path).stderr
    assert run("data", tmp_path, "--captions-only").exit_code == 0


def test_tables_print_where_the_terminal_knows_ascii_only(small_data: Path) -> None:
    command = [sys.executable, "-m", "looksay", "data", str(small_data)]
    environment = {"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin"}
    result = subprocess.run(command, check=False, capture_output=True, env=environment)
    assert result.returncode == 0, result.stderr
