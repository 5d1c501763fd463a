"""``looksay evaluate``, ``looksay score`` and ``looksay data``."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import REFERENCES

from looksay import data
from looksay.cli.main import main
from looksay.evaluation import report
from looksay.metrics import score
from looksay.runtime.bundle import VOCABULARY, Bundle, seal
from looksay.runtime.hub import locate


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_evaluate_prints_a_table_and_writes_scores_and_a_page(small_data: Path, tmp_path: Path) -> None:
    result = run("evaluate", "default", "--data", small_data, "--num-beams", 2, "--report", "report", "--no-meteor")
    assert result.exit_code == 0, result.output
    scores = json.loads((tmp_path / "report" / "scores.json").read_text(encoding="utf-8"))
    assert scores["images"] == 4
    assert scores["split"] == "val"
    assert re.search(
        r"split val\ndata: Flickr8k, original layout\nreferences: 2 per image; tokenizer: coco-caption", result.stdout
    )
    assert "decoding: num beams 2, max length 20, length penalty " in result.stdout
    line = next(line for line in result.stdout.splitlines() if line.startswith("captions "))
    assert line.split()[1:] == [f"{100 * value:.1f}" for value in scores["scores"].values()]
    assert next(line for line in result.stdout.splitlines() if line.startswith("human ")).endswith("against 1 other")

    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)  # self-contained
    assert page.count("<img ") >= 4
    assert "--image: url('data:image/jpeg" in page
    assert all(re.sub("['’].*", "", caption)[:20] in page for caption in REFERENCES.values())

    again = run("score", "report/captions.jsonl", "--references", small_data, "--split", "val", "--no-meteor")
    assert next(row for row in again.stdout.splitlines() if row.startswith("captions ")) == line
    assert not list(tmp_path.glob("*.json"))  # scores are written only on request
    assert scores["decoding"]["num_beams"] == 2
    assert {"human_agreement", "diversity", "human_diversity", "tokenizer"} <= scores.keys()


def test_evaluate_scores_several_models_as_one(small_data: Path, tmp_path: Path) -> None:
    one = run("evaluate", "default", "--data", small_data, "--no-meteor")
    twice = run("evaluate", "default", "default", "--data", small_data, "--no-meteor")
    assert twice.exit_code == 0, twice.output
    lines = [result.stdout.splitlines() for result in (one, twice)]
    captions = [next(row for row in table if row.startswith("captions ")) for table in lines]
    assert captions[0] == captions[1]  # a model agrees with itself
    spec = Bundle.open(locate()).spec
    assert f"{spec.name} + {spec.name}" in twice.stdout
    folder = Path(shutil.copytree(locate(), tmp_path / "other"))
    words = (folder / VOCABULARY).read_text(encoding="utf-8")
    (folder / VOCABULARY).write_text(words.replace('"dogs"', '"hounds"'), encoding="utf-8")
    seal(folder, spec)
    other = run("evaluate", "default", folder, "--data", small_data, "--no-meteor")
    assert other.exit_code == 2
    assert "has another vocabulary than" in other.output


def test_score_needs_no_images(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": f"{n}.jpg"} for n in (1, 2, 3)]
    captions = ["a dog runs on grass", "two men talk", "a boat in the harbour"]
    annotations = [
        {"image_id": n, "caption": f"{text} {end}"} for n, text in enumerate(captions, 1) for end in ("now", ".")
    ]
    (tmp_path / "captions_val.json").write_text(
        json.dumps({"images": images, "annotations": annotations}), encoding="utf-8"
    )
    results = [{"image_id": n, "caption": text} for n, text in enumerate(captions, 1)]
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
    expected = score(captions, references)
    assert json.loads(Path("s.json").read_text(encoding="utf-8"))["scores"] == pytest.approx(expected, abs=1e-6)
    assert "no image" in Path("r/report.html").read_text(encoding="utf-8")


def test_the_files_are_written_even_if_the_table_is_not_read_to_its_end(tmp_path: Path) -> None:
    """As in ``looksay score … --report r | head -1``, after hours of captioning."""
    (tmp_path / "refs.csv").write_text("image,caption\na.jpg,a dog\nb.jpg,a cat\n", encoding="utf-8")
    arguments = ["score", "refs.csv", "--references", "refs.csv", "--no-meteor", "--report", "r"]
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [sys.executable, "-m", "looksay", *arguments], check=False, stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert sorted(file.name for file in Path("r").iterdir()) == ["captions.jsonl", "report.html", "scores.json"]
    assert "Traceback" not in result.stderr


def test_cider_d_of_one_image_is_reported_as_undefined(tmp_path: Path) -> None:
    (tmp_path / "refs.csv").write_text("image,caption\na.jpg,a dog\na.jpg,the dog\n", encoding="utf-8")
    (tmp_path / "captions.csv").write_text("image,caption\na.jpg,a dog\n", encoding="utf-8")
    result = run("score", "captions.csv", "--references", "refs.csv", "--no-meteor", "--report", "r")
    assert result.exit_code == 0, result.output
    assert "CIDEr-D of one image is undefined" in result.stdout
    assert "CIDEr-D of one image is undefined" in Path("r/report.html").read_text(encoding="utf-8")
    assert json.loads(Path("r/scores.json").read_text(encoding="utf-8"))["scores"]["CIDEr-D"] is None


def test_a_page_escapes_captions(tmp_path: Path) -> None:
    (tmp_path / "refs.csv").write_text("image,caption\n<b>.jpg,<script>x</script>\nb.jpg,y\n", encoding="utf-8")
    (tmp_path / "captions.csv").write_text(
        "image,caption\n<b>.jpg,<script>alert(1)</script>\nb.jpg,\n", encoding="utf-8"
    )
    arguments = ["score", "captions.csv", "--references", "refs.csv", "--no-meteor", "--output", "r/s.json"]
    assert run(*arguments, "--report", "r").exit_code == 0
    assert Path("r/s.json").is_file()
    page = Path("r/report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "(empty)" in page


def test_without_pycocoevalcap_meteor_is_left_out_with_a_warning_and_is_an_error_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "refs.csv").write_text("image,caption\na.jpg,a dog\nb.jpg,a cat\n", encoding="utf-8")
    default = run("score", "refs.csv", "--references", "refs.csv")
    assert default.exit_code == 0
    assert "looksay: without METEOR: Scoring with METEOR or SPICE needs more" in default.stderr
    requested = run("score", "refs.csv", "--references", "refs.csv", "--meteor")
    assert requested.exit_code == 2
    assert requested.stderr.endswith(
        'Scoring with METEOR or SPICE needs more than the base install: pip install "looksay[metrics]"\n'
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["evaluate", "default", "--data", ".", "--batch", "0"], "0 is not in the range"),
        (["evaluate", "default", "--data", "none"], "none: no such folder or file"),
        (["evaluate", "nobody", "--data", "."], "is in no known layout"),
        (["score", "none.json", "--references", "refs.csv"], "none.json: no such file"),
        (["score", "refs.csv", "--references", "refs.csv", "--split", "dev"], "has no dev split; it has train"),
        (["score", "refs.csv", "--references", "refs.csv", "--output", "no/s.json"], "folder no does not exist"),
        (["score", "refs.csv", "--references", "refs.csv", "--report", "refs.csv/r"], "refs.csv/r cannot be written"),
        (["data", "refs.csv", "--image-column", "x"], "refs.csv has no column 'x'; it has image, caption"),
    ],
)
def test_a_usage_error_is_one_line_and_exit_code_2(tmp_path: Path, arguments: list[str], problem: str) -> None:
    (tmp_path / "refs.csv").write_text("image,caption\na.jpg,a dog\nb.jpg,a cat\nc.jpg,x\n", encoding="utf-8")
    if "." in arguments:
        (tmp_path / "refs.csv").unlink()
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert problem in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_caption_columns_may_be_several(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("image,one,two\na.jpg,a dog,the dog\nb.jpg,a cat,the cat\n", encoding="utf-8")
    result = run("data", "d.csv", "--captions-only", "--caption-column", "one", "--caption-column", "two")
    assert "captions per image: 2 (2)" in result.stdout, result.output


def test_a_report_without_jinja2_is_refused_before_anything_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.environment.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    result = run("score", "none.json", "--references", "none.csv", "--report", "r")
    assert result.exit_code == 2
    assert 'Writing a report needs more than the base install: pip install "looksay[metrics]"' in result.stderr


def test_data_prints_statistics(small_data: Path) -> None:
    result = run("data", small_data)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{small_data}: Flickr8k, original layout\n")
    assert re.search(r"train +16 +32\nval +4 +8\nall +20 +40\n", result.stdout)
    assert "captions per image: 2 (20)" in result.stdout
    assert re.search(r"vocabulary of the train split: \d+ words; \d+ occur 2 times or more", result.stdout)
    assert "duplicate captions of an image, kept: 20" in result.stdout


def test_data_opens_every_image_or_none_on_request(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"no image")
    (tmp_path / "val.csv").write_text("image,caption\na.jpg,a dog\nb.jpg,a cat\n", encoding="utf-8")
    assert "no problems found" in run("data", tmp_path).stdout
    assert f"{tmp_path / 'a.jpg'}: this is not an image" in run("data", tmp_path, "--check").stdout
    (tmp_path / "a.jpg").unlink()
    (tmp_path / "b.jpg").unlink()
    assert "none of the 2 images exists" in run("data", tmp_path).stderr
    assert run("data", tmp_path, "--captions-only").exit_code == 0


def test_data_says_what_training_would_refuse(tmp_path: Path) -> None:
    """Many sets of the Hub have a train split alone."""
    rows = [f"{number}.jpg,a dog\n" for number in range(40)]
    (tmp_path / "train.csv").write_text(f"image,caption\n{''.join(rows)}", encoding="utf-8")
    result = run("data", tmp_path, "--captions-only")
    assert f"{tmp_path} has no val split: to train, " in result.stdout
    assert "no problems found" not in result.stdout
    result = run("data", tmp_path, "--captions-only", "--draw-val")
    assert "; val drawn from train with seed 0" in result.stdout
    assert re.search(r"train +\d+ +\d+\nval +[2-9] +[2-9]\nall +40 +40\n", result.stdout)
    assert "no problems found" in result.stdout


def test_statistics_are_printed_on_an_ascii_terminal(small_data: Path) -> None:
    command = [sys.executable, "-m", "looksay", "data", str(small_data)]
    environment = {"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin"}
    result = subprocess.run(command, check=False, capture_output=True, env=environment)
    assert result.returncode == 0, result.stderr
