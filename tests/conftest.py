"""A small data set of real photos, a captioner trained on it, and where Flickr8k may be."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from serving import Server

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
PHOTOS = ("alps.jpg", "astronaut.jpg", "boats.jpg", "photographer.png")
SAMPLES = sorted((*PHOTOS, "cat.jpg", "coffee.jpg"))  # all photos in examples
REFERENCES = {
    "astronaut.jpg": "a smiling woman in an orange suit stands before a flag",
    "boats.jpg": "two wooden boats lie in the harbour of a small town",
    "alps.jpg": "the valley's dark firs stand below high , bright mountains",
    "photographer.png": "a man in a black coat looks through a camera on a tripod",
}
COPIES = 4

# Two test processes with as many threads as cores each would wait for one another; set before torch is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# What a shell runs in the background ignores Ctrl-C, and so would the commands that tests stop with it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def flickr8k() -> Path:
    """Flickr8k, in ``$LOOKSAY_FLICKR8K`` or ``../shared``; its images cannot be part of this project."""
    folder = Path(os.environ.get("LOOKSAY_FLICKR8K", ROOT.parent / "shared" / "data" / "flickr8k"))
    if not folder.is_dir():
        pytest.skip(f"Flickr8k is not in {folder}; set LOOKSAY_FLICKR8K=DIR")
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches the user's cache."""
    monkeypatch.setenv("LOOKSAY_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    """Tests of modules that import torch have the same random numbers alone and after others."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


def write_flickr8k(folder: Path) -> Path:
    """Write the sample photos as a data set in Flickr8k's layout; the val split shows the train split's images."""
    (folder / "Images").mkdir(parents=True)
    tokens = []
    train = [f"{copy}-{photo}" for copy in range(COPIES) for photo in PHOTOS]
    for photo in PHOTOS:
        for name in (f"val-{photo}", *(name for name in train if name.endswith(photo))):
            shutil.copy(EXAMPLES / photo, folder / "Images" / name)
            tokens += [f"{name}#{number}\t{REFERENCES[photo]}" for number in range(2)]
    (folder / "Flickr8k.token.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    (folder / "Flickr_8k.trainImages.txt").write_text("\n".join(train) + "\n", encoding="utf-8")
    (folder / "Flickr_8k.devImages.txt").write_text("\n".join(f"val-{p}" for p in PHOTOS) + "\n", encoding="utf-8")
    return folder


TINY = (
    "vocabulary.min_count=1",
    "image.size=64",
    "encoder.name=test_convnext",
    "encoder.weights=random",
    "decoder.size=64",
    "decoder.heads=4",
    "decoder.dropout=0.0",
    "training.batch_size=1",
    "training.label_smoothing=0.0",
    "augmentation.flip=false",
    "training.precision=32",
)


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flickr8k(tmp_path_factory.mktemp("data") / "flickr8k")


@pytest.fixture(scope="session")
def small_run(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is overfitted to four photos."""
    from looksay.training import recipe_file, run

    folder = tmp_path_factory.mktemp("runs")
    changes = (
        *TINY,
        f"data.folder={small_data}",
        f"data.cache={folder / 'cache'}",
        f"training.run={folder / 'run'}",
        "training.epochs=8",
        "training.learning_rate=3e-3",
    )
    return run.train(recipe_file.load(ROOT / "recipes" / "flickr8k.toml", changes))


@pytest.fixture(scope="session")
def small_bundle(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, exported."""
    from looksay.export import export

    return export.export(small_run, tmp_path_factory.mktemp("bundles") / "small").folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the default settings, for all tests that do not change its state."""
    from serving import serving

    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running
