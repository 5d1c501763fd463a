"""Who trains looks at the curves before reading any number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from looksay.train import plots

NAMES = ("train_loss", "val_loss", "train_word_accuracy", "val_word_accuracy", "val_CIDEr-D", "val_BLEU-4")


def test_each_series_is_drawn(tmp_path: Path) -> None:
    """A series that changes must change the picture."""
    rows = [{"epoch": epoch, **dict.fromkeys(NAMES, 0.1 * epoch)} for epoch in (1, 2, 3)]
    plots.curves(rows, tmp_path / "plain.png")
    with Image.open(tmp_path / "plain.png") as image:
        plain = np.asarray(image)
    for name in NAMES:
        plots.curves([*rows[:-1], {**rows[-1], name: 0.9}], tmp_path / "changed.png")
        with Image.open(tmp_path / "changed.png") as image:
            assert image.size == plain.shape[1::-1]
            assert (np.asarray(image) != plain).any(), name


def test_one_epoch_is_enough(tmp_path: Path) -> None:
    plots.curves([{"epoch": 1, **dict.fromkeys(NAMES, 0.2)}], tmp_path / "one.png")
    assert (tmp_path / "one.png").stat().st_size > 5000
