"""A data set that makes too few steps of training is named with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from looksay.data import Dataset, Record


def dataset(images: int) -> Dataset:
    splits = ["train"] * images + ["val"] * 1000
    records = (Record(Path(f"{number}.jpg"), ("a dog",), split) for number, split in enumerate(splits))
    return Dataset(Path("photos"), "table", tuple(records))


@pytest.mark.parametrize(("images", "batch_size", "epochs"), [(150, 32, 10), (2, 32, 10), (200, 16, 5)])
def test_few_steps_are_named_with_what_to_do(images: int, batch_size: int, epochs: int) -> None:
    advice = dataset(images).advice(batch_size, epochs)
    assert advice.startswith(f"{images} train images make ")
    assert "too few" in advice
    assert "recipe small" in advice


def test_flickr8k_and_the_small_recipe_make_enough_steps() -> None:
    assert dataset(6000).advice() == dataset(200).advice(8, 30) == ""
