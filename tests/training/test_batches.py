"""Each caption must teach its own image's words, and a frozen encoder must look only once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import ROOT, TINY

from looksay import data
from looksay.data import Record
from looksay.images import normalise
from looksay.models.caption_model import CaptionModel
from looksay.models.decoder import PADDING
from looksay.text.vocabulary import Vocabulary
from looksay.training import build, recipe_file
from looksay.training.augmentation import vary
from looksay.training.batches import CaptionDataset, TrainBatches, ValBatches, images
from looksay.training.recipe import Recipe
from looksay.training.sections import AugmentationOptions


class Made(NamedTuple):
    records: list[Record]
    recipe: Recipe
    vocabulary: Vocabulary
    model: CaptionModel
    images: CaptionDataset


def make(folder: Path, *changes: str, said: str = "") -> Made:
    """The train split of a data set, ready for a recipe with changes; every caption `said`, if that is not empty."""
    recipe = recipe_file.load(ROOT / "recipes" / "flickr8k.toml", [*TINY, "augmentation.flip=true", *changes])
    records = list(data.read(folder).split("train"))
    if said:
        records = [replace(record, references=(said,)) for record in records]
    vocabulary = Vocabulary.build((text for record in records for text in record.references), 1)
    torch.manual_seed(0)
    model = build.caption_model(recipe, vocabulary).eval()
    return Made(records, recipe, vocabulary, model, images(records, recipe, vocabulary, model, augmented=True))


@pytest.fixture(params=["frozen", "trainable"])
def made(request: pytest.FixtureRequest, small_data: Path) -> Made:
    return make(small_data, f"encoder.trainable={str(request.param == 'trainable').lower()}")


def test_a_batch_teaches_each_image_its_own_captions(made: Made) -> None:
    batch = made.images.batch([1, 3], captions=3)
    assert batch.tokens.shape == batch.targets.shape == (6, batch.tokens.shape[1])
    assert set(batch.places) == {1, 3}
    for row, index in enumerate(np.repeat(batch.places, 3)):
        words = made.vocabulary.encode(made.records[index].references[0])
        assert batch.tokens[row, : len(words) + 1].tolist() == [made.vocabulary.start, *words]
        assert batch.targets[row, : len(words) + 1].tolist() == [*words, made.vocabulary.end]
        assert set(batch.targets[row, len(words) + 1 :].tolist()) <= {PADDING}


def test_a_caption_that_is_cut_is_not_taught_to_end_there(small_data: Path) -> None:
    short = make(small_data, "training.max_length=4")
    batch, words = short.images.batch([0], captions=1), short.vocabulary.encode(short.records[0].references[0])
    assert batch.tokens.tolist() == [[short.vocabulary.start, *words[:4]]]
    assert batch.targets.tolist() == [words[:5]]


def seen(made: Made, *, mirrored: bool) -> torch.Tensor:
    """What the encoder makes of two images."""
    pixels = made.images.pixels([0, 2])
    pixels = np.ascontiguousarray(pixels[:, :, ::-1]) if mirrored else pixels
    with torch.no_grad():
        grids: torch.Tensor = made.model.encoder(
            torch.from_numpy(normalise(pixels, build.model_image_spec(made.recipe)))
        )
    return grids


def test_a_frozen_encoders_grids_are_those_it_would_make(small_data: Path) -> None:
    made = make(small_data)
    for mirrored in (False, True):
        got = made.images._inputs[False]([0, 2], np.full(2, mirrored))
        torch.testing.assert_close(got, seen(made, mirrored=mirrored), atol=5e-3, rtol=2e-3)


def test_an_encoder_that_learns_gets_pixels_and_before_its_turn_grids(small_data: Path) -> None:
    made = make(small_data, "encoder.trainable=true", "encoder.frozen_epochs=1")
    frozen, learning = (TrainBatches(made.images, made.recipe, epoch)[0].images for epoch in (0, 1))
    assert frozen.shape[1:] == (4, made.model.encoder.channels)
    assert learning.shape[1:] == (3, 64, 64)
    frozen, learning = (ValBatches(made.images, made.recipe, epoch)[0].images for epoch in (0, 1))
    with torch.no_grad():
        torch.testing.assert_close(made.model.encoder(learning), frozen, atol=5e-3, rtol=2e-3)


def test_left_and_right_change_places_in_a_mirror(small_data: Path) -> None:
    made = make(small_data, said="the man on the left faces right")
    plain = made.vocabulary.encode("the man on the left faces right")
    mirrored = made.vocabulary.encode("the man on the right faces left")
    drawn = [
        made.images.batch(range(16), 1, np.random.default_rng(seed), flip=True).targets[:, :-1].tolist()
        for seed in range(3)
    ]
    said = [tuple(row) for batch in drawn for row in batch]
    assert set(said) == {tuple(plain), tuple(mirrored)}
    assert 12 <= said.count(tuple(mirrored)) <= 36
    kept = made.images.batch(range(16), 1, np.random.default_rng(0)).targets[:, :-1].tolist()
    assert kept == [plain] * 16


def test_the_image_is_mirrored_where_its_caption_is(small_data: Path) -> None:
    made = make(small_data, said="left or right")
    flipped = set()
    for seed in range(4):
        batch = made.images.batch([0, 2], 1, np.random.default_rng(seed), flip=True)
        for row, words in enumerate(batch.targets.tolist()):
            mirrored = made.vocabulary.tokens[words[0]] != "left"
            flipped.add(mirrored)
            as_seen = seen(made, mirrored=mirrored)[[0, 2].index(batch.places[row])]
            torch.testing.assert_close(batch.images[row], as_seen, atol=5e-3, rtol=2e-3)
    assert flipped == {True, False}


def test_a_side_whose_partner_is_unknown_is_not_taught_in_a_mirror(small_data: Path) -> None:
    made = make(small_data, said="on the left")
    batch = made.images.batch(range(16), 1, np.random.default_rng(0), flip=True)
    last = {made.vocabulary.tokens[row[2]] for row in batch.targets.tolist()}
    assert last == {"left", made.vocabulary.tokens[made.vocabulary.unk]}


def test_another_language_names_its_own_left_and_right(small_data: Path) -> None:
    made = make(small_data, 'augmentation.swapped=["links rechts"]', said="der mann links schaut nach rechts")
    batch = made.images.batch(range(16), 1, np.random.default_rng(0), flip=True)
    assert tuple(made.vocabulary.encode("der mann rechts schaut nach links")) in {
        tuple(row) for row in batch.targets[:, :-1].tolist()
    }


def test_crops_and_colours_change_the_image_by_the_draw_alone(made: Made) -> None:
    pixels = made.images.pixels([0, 1])
    options = AugmentationOptions(crop=0.5, color_jitter=0.3)
    first, again, other = (vary(pixels, options, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first.dtype == np.uint8
    assert first.shape == pixels.shape
    assert (first == again).all()
    assert (first != other).mean() > 0.5
    assert (vary(pixels, AugmentationOptions(), np.random.default_rng(0)) == pixels).all()
    state = torch.get_rng_state()
    vary(pixels, options, np.random.default_rng(0))
    assert torch.equal(torch.get_rng_state(), state), "dropout must not depend on the augmentation"


def test_a_crop_shows_a_part_and_a_colour_changes_no_shape() -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint8)[None, None, :, None], (20, 64, 1, 3)) + 60
    cut = vary(ramp, AugmentationOptions(crop=0.25), np.random.default_rng(0)).astype(int)
    widths = cut[:, 32, -1, 0] - cut[:, 32, 0, 0]
    assert widths.min() >= 63 * 0.25  # an area of a quarter is at least that wide
    assert widths.max() <= 63
    assert len(set(widths)) > 5
    grey = vary(np.full((20, 8, 8, 3), 100, np.uint8), AugmentationOptions(color_jitter=0.2), np.random.default_rng(0))
    assert all(len(np.unique(image)) == 1 for image in grey)
    assert 60 <= grey.min() < 95
    assert 105 < grey.max() <= 150


def test_a_frozen_encoder_looks_at_several_views(small_data: Path) -> None:
    made = make(small_data, "augmentation.crop=0.5", "augmentation.color_jitter=0.2", "augmentation.views=3")
    got = made.images.batch([0], 1).images[0]
    torch.testing.assert_close(got, seen(made, mirrored=False)[0], atol=5e-3, rtol=2e-3)
    drawn = [made.images.batch([0], 1, np.random.default_rng(seed), flip=True).images for seed in range(60)]
    assert len({image.numpy().tobytes() for image in drawn}) == 6  # three crops of either side
    plain = make(small_data, "augmentation.crop=0.5", "augmentation.color_jitter=0.2")
    drawn = [plain.images.batch([0], 1, np.random.default_rng(seed), flip=True).images for seed in range(60)]
    assert len({image.numpy().tobytes() for image in drawn}) == 2


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own(made: Made) -> None:
    recipe = replace(made.recipe, training=replace(made.recipe.training, batch_size=3))
    first, again, second = (TrainBatches(made.images, recipe, epoch) for epoch in (0, 0, 1))
    assert len(first) == 6
    assert sorted(first._order) == list(range(16))
    assert first._order.tolist() == again._order.tolist() != second._order.tolist()
    torch.testing.assert_close(first[2].images, again[2].images)
    assert [len(first[number].images) for number in range(6)] == [3, 3, 3, 3, 3, 1]


def test_val_batches_hold_every_image_once(made: Made) -> None:
    recipe = replace(made.recipe, training=replace(made.recipe.training, batch_size=7))
    batches = ValBatches(made.images, recipe, 0)
    assert [sorted(batches[number].places) for number in range(len(batches))] == [
        list(range(7)), list(range(7, 14)), [14, 15],
    ]  # fmt: skip


def test_the_longest_captions_come_first_and_the_steps_hold_all_words(small_data: Path) -> None:
    made = make(small_data)
    made.images.captions[:3] = [[[7] * 3, [7] * 9], [[7] * 2, [7] * 4], [[7] * 12, [7]]]
    batch = made.images.batch([0, 1, 2], 2)
    assert batch.places == (2, 0, 1)
    assert batch.counted.sum(dim=1).tolist() == [12, 1, 9, 3, 4, 2]
    assert batch.going == ((3, 2),) * 3 + ((3, 1),) + ((2, 1),) * 5 + ((1, 1),) * 3
