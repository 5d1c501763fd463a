"""Each caption must teach its own picture's words, and a frozen encoder must look only once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, TINY

from looksay import data
from looksay.nets.model import CaptionModel
from looksay.train import build, config, run
from looksay.train.batches import Pictures, TrainBatches, ValBatches
from looksay.train.losses import PADDING
from looksay.vocabulary import Vocabulary


@pytest.fixture(params=["frozen", "trainable"])
def made(request: pytest.FixtureRequest, small_data: Path) -> tuple[Pictures, Vocabulary, config.Recipe, CaptionModel]:
    trainable = str(request.param == "trainable").lower()
    changes = [*TINY, f"encoder.trainable={trainable}", "training.flip=true"]
    recipe = config.load(ROOT / "recipes" / "flickr8k.toml", changes)
    records = data.read(small_data).split("train")
    vocabulary = Vocabulary.build(text for record in records for text in record.references)
    model = build.caption_model(recipe, vocabulary).eval()
    return run.pictures(records, recipe, vocabulary, model), vocabulary, recipe, model


def test_a_batch_teaches_each_picture_its_own_captions(
    made: tuple[Pictures, Vocabulary, config.Recipe, CaptionModel],
) -> None:
    pictures, vocabulary, *_ = made
    batch = pictures.batch([1, 3], captions=3)
    assert batch.tokens.shape == batch.targets.shape == (6, batch.tokens.shape[1])
    for row, index in enumerate([1, 1, 1, 3, 3, 3]):
        words = vocabulary.encode(pictures.records[index].references[0])
        assert batch.tokens[row, : len(words) + 1].tolist() == [vocabulary.start, *words]
        assert batch.targets[row, : len(words) + 1].tolist() == [*words, vocabulary.end]
        assert set(batch.targets[row, len(words) + 1 :].tolist()) <= {PADDING}


def test_a_caption_that_is_cut_is_not_taught_to_end_there(
    made: tuple[Pictures, Vocabulary, config.Recipe, CaptionModel],
) -> None:
    pictures, vocabulary, *_ = made
    short = Pictures(pictures.records, pictures._cache, pictures._inputs, vocabulary, max_words=4)
    batch, words = short.batch([0], captions=1), vocabulary.encode(pictures.records[0].references[0])
    assert batch.tokens.tolist() == [[vocabulary.start, *words[:4]]]
    assert batch.targets.tolist() == [words[:5]]


def test_a_frozen_encoders_grids_are_those_it_would_make(
    made: tuple[Pictures, Vocabulary, config.Recipe, CaptionModel],
) -> None:
    pictures, _, recipe, model = made
    plain = pictures.batch([0, 2], 1).pictures
    if recipe.encoder.trainable:
        assert plain.shape == (2, 3, 64, 64)
        return
    from looksay.images import normalise

    pixels = pictures.pixels([0, 2])
    spec = build.picture_spec(recipe)
    for mirrored in (False, True):
        seen = pixels[:, :, ::-1] if mirrored else pixels
        with torch.no_grad():
            expected = model.encoder(torch.from_numpy(normalise(np.ascontiguousarray(seen), spec)))
        got = pictures._inputs([0, 2], np.full(2, mirrored))
        torch.testing.assert_close(got, expected, atol=5e-3, rtol=2e-3)


def test_an_epoch_shows_every_picture_once_in_an_order_of_its_own(
    made: tuple[Pictures, Vocabulary, config.Recipe, CaptionModel],
) -> None:
    pictures, _, recipe, _ = made
    options = replace(recipe.training, batch=3)
    first, again, second = (TrainBatches(pictures, options, epoch) for epoch in (0, 0, 1))
    assert len(first) == 6
    assert sorted(first._order) == list(range(16))
    assert first._order.tolist() == again._order.tolist() != second._order.tolist()
    torch.testing.assert_close(first[2].pictures, again[2].pictures)
    assert [len(first[number].pictures) for number in range(6)] == [3, 3, 3, 3, 3, 1]


def test_val_batches_are_in_order(made: tuple[Pictures, Vocabulary, config.Recipe, CaptionModel]) -> None:
    pictures, _, recipe, _ = made
    batches = ValBatches(pictures, replace(recipe.training, batch=7))
    assert [indices for _, indices in (batches[n] for n in range(len(batches)))] == [
        list(range(7)), list(range(7, 14)), [14, 15],
    ]  # fmt: skip
