"""A data set that cannot be trained on, or makes too few steps, is named with what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from looksay.data import Dataset, Record
from looksay.errors import DataError


def dataset(images: int) -> Dataset:
    splits = ["train"] * images + ["val"] * 1000
    records = (Record(Path(f"{number}.jpg"), ("a dog",), split) for number, split in enumerate(splits))
    return Dataset(Path("photos"), "table", tuple(records))


@pytest.mark.parametrize(("images", "batch_size", "epochs"), [(150, 32, 10), (2, 32, 10), (200, 8, 5)])
def test_few_steps_are_named_with_what_to_do(images: int, batch_size: int, epochs: int) -> None:
    advice = dataset(images).advice(batch_size, epochs)
    assert advice.startswith(f"{images} train images make ")
    assert "too few" in advice
    assert ("recipe small" in advice) == (batch_size > 8)  # that recipe has such batches itself


def test_data_without_a_val_split_is_no_data_for_training() -> None:
    train_only = Dataset(Path("photos"), "table", tuple(r for r in dataset(2000).records if r.split == "train"))
    assert train_only.advice().startswith("looksay train needs a val split, which this data lacks: name the splits")
    with pytest.raises(DataError, match=re.escape("has no val split; it has train (2,000 images) [table]: name the splits")):
        train_only.split("val")


def test_flickr8k_and_the_small_recipe_make_enough_steps() -> None:
    assert dataset(6000).advice() == dataset(200).advice(8, 30) == ""
