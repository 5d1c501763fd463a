"""What a run shows after each epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from looksay.training import progress

NAMES = ("train_loss", "val_loss", "train_word_accuracy", "val_word_accuracy", "val_CIDEr-D", "val_BLEU-4")

LENGTHS = {"references": [8, 9, 9, 12], "model": [9, 9, 10]}


def test_each_series_is_drawn(tmp_path: Path) -> None:
    """A series that changes must change the image."""
    rows = [{"epoch": epoch, **dict.fromkeys(NAMES, 0.1 * epoch)} for epoch in (1, 2, 3)]
    progress.curves(rows, LENGTHS, tmp_path / "plain.png")
    with Image.open(tmp_path / "plain.png") as image:
        plain = np.asarray(image)
    for name in NAMES:
        progress.curves([*rows[:-1], {**rows[-1], name: 0.9}], LENGTHS, tmp_path / "changed.png")
        with Image.open(tmp_path / "changed.png") as image:
            assert image.size == plain.shape[1::-1]
            assert (np.asarray(image) != plain).any(), name


def test_one_epoch_is_enough(tmp_path: Path) -> None:
    progress.curves([{"epoch": 1, **dict.fromkeys(NAMES, 0.2)}], LENGTHS, tmp_path / "one.png")
    assert (tmp_path / "one.png").stat().st_size > 5000


def test_the_lengths_of_captions_are_drawn(tmp_path: Path) -> None:
    rows = [{"epoch": 1, **dict.fromkeys(NAMES, 0.2)}]
    drawn = []
    for words in (9, 14):
        progress.curves(rows, {**LENGTHS, "model": [words]}, tmp_path / "lengths.png")
        drawn.append((tmp_path / "lengths.png").read_bytes())
    assert drawn[0] != drawn[1]
