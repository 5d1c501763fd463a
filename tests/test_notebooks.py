"""The notebooks run from top to bottom."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import EXAMPLES, PHOTOS, REFERENCES, ROOT, TINY
from nbclient import NotebookClient

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SMALL = [*TINY, "training.epochs=1", "encoder.trainable=false"]


def run(name: str, folder: Path, times: int = 1, **parameters: Any) -> list[Any]:
    """Run a notebook in a folder with other parameters; return the outputs of its cells."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    (index,) = (i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ()))
    values = "\n".join(f"{key} = {value!r}" for key, value in parameters.items())
    notebook.cells.insert(index + 1, nbformat.v4.new_code_cell(values))  # type: ignore[no-untyped-call]
    for _ in range(times):
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return [cell.get("outputs", []) for cell in notebook.cells]


def count_images(outputs: list[Any]) -> int:
    return sum("image/png" in o.get("data", {}) or "image/jpeg" in o.get("data", {}) for cell in outputs for o in cell)


def join_text(outputs: list[Any]) -> str:
    return "".join(output.get("text", "") for cell in outputs for output in cell)


@pytest.mark.parametrize("file", NOTEBOOKS, ids=[file.stem for file in NOTEBOOKS])
def test_a_notebook_explains_kaggle_and_colab_and_shows_its_outputs(file: Path) -> None:
    cells = nbformat.read(file, as_version=4).cells  # type: ignore[no-untyped-call]
    assert all(word in cells[0].source for word in ("Kaggle", "Colab", "how-it-works.md"))
    outputs = json.dumps([cell.get("outputs", []) for cell in cells])
    assert '"text"' in outputs
    assert "Traceback" not in outputs
    assert not re.search(r'[" ]/(work|tmp|home|root|Users)/', outputs), "names a machine's own path"


@pytest.mark.slow
def test_train(small_data: Path, tmp_path: Path) -> None:
    outputs = run("1-train", tmp_path, times=2, DATA=str(small_data), CHANGES=SMALL)
    assert count_images(outputs) == 3
    assert "Flickr8k" in join_text(outputs)
    assert (tmp_path / "first-captioner" / "model.json").is_file()


@pytest.mark.slow
def test_attention(tmp_path: Path) -> None:
    photos = [str(EXAMPLES / photo) for photo in PHOTOS[:2]]
    outputs = run("2-attention", tmp_path, PHOTOS=photos)
    assert count_images(outputs) == 2
    assert join_text(outputs).count("█") > 100
    assert join_text(outputs).count("random cells masked:") == 2


@pytest.mark.slow
def test_compare(small_data: Path, tmp_path: Path) -> None:
    recipes = ["vgg16-merge", "show-attend-and-tell"]
    photos = [str(EXAMPLES / photo) for photo in PHOTOS[:2]]
    outputs = run("3-compare", tmp_path, DATA=str(small_data), RECIPES=recipes, CHANGES=SMALL, PHOTOS=photos)
    assert all(join_text(outputs).count(name) >= 3 for name in recipes)
    assert count_images(outputs) == 3


@pytest.mark.slow
def test_your_csv(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "photos")
    with (tmp_path / "products.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["photo", "alt", "part"])
        for part in ("train", "val"):
            for photo in PHOTOS:
                shutil.copy(EXAMPLES / photo, tmp_path / "photos" / f"{part}-{photo}")
                writer.writerow([f"photos/{part}-{photo}", REFERENCES[photo], part])
    columns = {"image": "photo", "caption": "alt", "split": "part"}
    outputs = run("4-your-csv", tmp_path, TABLE="products.csv", COLUMNS=columns, CHANGES=SMALL)
    assert "{'train': 4, 'val': 4} images" in join_text(outputs)
    assert "CIDEr-D" in join_text(outputs)
    assert count_images(outputs) == 5
