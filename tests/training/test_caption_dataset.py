"""Batches pair each image with its own captions, mirror both, and use cached features for a frozen encoder."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import ROOT, TINY

from looksay import data
from looksay.data import Record
from looksay.models.caption_model import CaptionModel
from looksay.models.decoder import PADDING
from looksay.text.vocabulary import Vocabulary
from looksay.training import build, recipe_file
from looksay.training.caption_dataset import Batch, CaptionDataset, caption_dataset
from looksay.training.datamodule import CaptionDataModule
from looksay.training.recipe import Recipe


class Setup(NamedTuple):
    records: list[Record]
    recipe: Recipe
    vocabulary: Vocabulary
    model: CaptionModel
    dataset: CaptionDataset

    @property
    def data(self) -> CaptionDataModule:
        return CaptionDataModule(self.dataset, self.dataset, self.recipe)


def setup(folder: Path, *changes: str, caption: str = "") -> Setup:
    """The train split of a data set under a recipe with changes; `caption`, if given, replaces every caption."""
    recipe = recipe_file.load(ROOT / "recipes" / "flickr8k.toml", [*TINY, "augmentation.flip=true", *changes])
    records = list(data.read(folder).split("train"))
    if caption:
        records = [replace(record, references=(caption,)) for record in records]
    vocabulary = Vocabulary.build((text for record in records for text in record.references), 1)
    torch.manual_seed(0)
    model = build.caption_model(recipe, vocabulary).eval()
    return Setup(
        records, recipe, vocabulary, model, caption_dataset(records, recipe, vocabulary, model, augmented=True)
    )


@pytest.fixture(params=["frozen", "trainable"])
def either(request: pytest.FixtureRequest, small_data: Path) -> Setup:
    return setup(small_data, f"encoder.trainable={str(request.param == 'trainable').lower()}")


def features(setup: Setup, *, mirrored: bool) -> torch.Tensor:
    """The encoder's features of images 0 and 2."""
    pixels = setup.dataset.pixels([0, 2])
    pixels = np.ascontiguousarray(pixels[:, :, ::-1]) if mirrored else pixels
    with torch.no_grad():
        return setup.model.encode(torch.from_numpy(pixels))[0]


def test_a_batch_pairs_each_image_with_its_own_captions(either: Setup) -> None:
    batch = either.dataset.batch([1, 3], captions=3)
    assert batch.tokens.shape == batch.targets.shape == (6, batch.tokens.shape[1])
    assert set(batch.indices) == {1, 3}
    for row, index in enumerate(np.repeat(batch.indices, 3)):
        ids = either.vocabulary.encode(either.records[index].references[0])
        assert batch.tokens[row, : len(ids) + 1].tolist() == [either.vocabulary.start, *ids]
        assert batch.targets[row, : len(ids) + 1].tolist() == [*ids, either.vocabulary.end]
        assert set(batch.targets[row, len(ids) + 1 :].tolist()) <= {PADDING}
    assert batch.words_of(batch.targets).tolist() == batch.targets[batch.targets != PADDING].tolist()


def test_a_cut_caption_has_no_end(small_data: Path) -> None:
    short = setup(small_data, "training.max_length=4")
    batch, ids = short.dataset.batch([0], captions=1), short.vocabulary.encode(short.records[0].references[0])
    assert batch.tokens.tolist() == [[short.vocabulary.start, *ids[:4]]]
    assert batch.targets.tolist() == [ids[:5]]


def test_cached_features_are_those_of_the_encoder(small_data: Path) -> None:
    plain = setup(small_data, "augmentation.flip=false")
    batch = plain.dataset.batch([0, 2], 1)
    assert batch.images.dtype == torch.float16
    expected = features(plain, mirrored=False)[[[0, 2].index(index) for index in batch.indices]]
    torch.testing.assert_close(plain.model.encode(batch.images)[0], expected, atol=5e-3, rtol=2e-3)


def test_a_trainable_encoder_gets_pixels_and_while_frozen_features(small_data: Path) -> None:
    later = setup(small_data, "encoder.trainable=true", "encoder.frozen_epochs=1")
    frozen, trained = (later.data.train_batches(epoch)[0].images for epoch in (0, 1))
    assert frozen.shape[1:] == (4, later.model.encoder.channels)
    assert trained.shape[1:] == (64, 64, 3)
    assert trained.dtype == torch.uint8
    frozen, trained = (later.data.val_batches(epoch)[0].images for epoch in (0, 1))
    with torch.no_grad():
        torch.testing.assert_close(later.model.encode(trained)[0], frozen.float(), atol=5e-3, rtol=2e-3)


def targets_of(setup: Setup, seed: int | None) -> list[tuple[int, ...]]:
    rng = None if seed is None else np.random.default_rng(seed)
    return [tuple(row) for row in setup.dataset.batch(range(16), 1, rng).targets.tolist()]


def test_left_and_right_are_swapped_in_mirrored_captions(small_data: Path) -> None:
    flipped = setup(small_data, caption="the man on the left faces right")
    end = flipped.vocabulary.end
    original = (*flipped.vocabulary.encode("the man on the left faces right"), end)
    mirrored = (*flipped.vocabulary.encode("the man on the right faces left"), end)
    captions = [row for seed in range(3) for row in targets_of(flipped, seed)]
    assert set(captions) == {original, mirrored}
    assert 12 <= captions.count(mirrored) <= 36
    assert targets_of(flipped, None) == [original] * 16


def test_an_image_is_mirrored_where_its_caption_is(small_data: Path) -> None:
    flipped = setup(small_data, caption="left or right")
    sides = set()
    for seed in range(4):
        batch = flipped.dataset.batch([0, 2], 1, np.random.default_rng(seed))
        grid = flipped.model.encode(batch.images)[0]
        for row, ids in enumerate(batch.targets.tolist()):
            mirrored = flipped.vocabulary.tokens[ids[0]] != "left"
            sides.add(mirrored)
            expected = features(flipped, mirrored=mirrored)[[0, 2].index(batch.indices[row])]
            torch.testing.assert_close(grid[row], expected, atol=5e-3, rtol=2e-3)
    assert sides == {True, False}


def test_sampled_captions_of_mirrored_images_are_mirrored_back(small_data: Path) -> None:
    flipped = setup(small_data, caption="left or right")
    left, right = (flipped.vocabulary.encode(word)[0] for word in ("left", "right"))
    tokens = np.array([[left, PADDING], [right, left], [left, right]])
    unmirrored = flipped.dataset.unmirror(tokens, np.array([True, False, True]))
    assert unmirrored.tolist() == [[right, PADDING], [right, left], [right, left]]


def test_the_detector_learns_the_mirrored_side_of_a_mirrored_image(small_data: Path) -> None:
    flipped = setup(small_data, caption="the man on the left")
    sides = [*flipped.vocabulary.encode("left right"), *flipped.vocabulary.encode("man")]
    batch = flipped.dataset.batch(range(16), 1, np.random.default_rng(0))
    has_left, has_right, has_man = flipped.dataset.word_frequencies(batch, sides).T > 0
    assert 0 < batch.mirrored.sum() < 16
    assert (has_right == batch.mirrored).all()
    assert (has_left == ~batch.mirrored).all()
    assert has_man.all()


def test_a_side_without_a_known_partner_is_unknown_in_a_mirrored_caption(small_data: Path) -> None:
    flipped = setup(small_data, caption="on the left")
    last = {flipped.vocabulary.tokens[row[2]] for row in targets_of(flipped, 0)}
    assert last == {"left", flipped.vocabulary.tokens[flipped.vocabulary.unk]}


def test_a_recipe_names_the_sides_in_another_language(small_data: Path) -> None:
    german = setup(small_data, 'augmentation.swapped=["links rechts"]', caption="der mann links schaut nach rechts")
    mirrored = german.vocabulary.encode("der mann rechts schaut nach links")
    assert (*mirrored, german.vocabulary.end) in targets_of(german, 0)


def test_a_frozen_encoder_gets_several_augmented_views(small_data: Path) -> None:
    views = setup(small_data, "augmentation.crop=0.5", "augmentation.color_jitter=0.2", "augmentation.views=3")
    first = views.model.encode(views.dataset.batch([0], 1).images)[0][0]
    torch.testing.assert_close(first, features(views, mirrored=False)[0], atol=5e-3, rtol=2e-3)

    def distinct(dataset: CaptionDataset) -> int:
        batches = [dataset.batch([0], 1, np.random.default_rng(seed)).images for seed in range(60)]
        return len({images.numpy().tobytes() for images in batches})

    assert distinct(views.dataset) == 6  # three crops of both sides
    assert distinct(setup(small_data, "augmentation.crop=0.5", "augmentation.color_jitter=0.2").dataset) == 2


def long_and_short(small_data: Path, *changes: str) -> tuple[Setup, Batch]:
    uneven = setup(small_data, *changes)
    uneven.dataset.captions[:3] = [[[7] * 3, [7] * 9], [[7] * 2, [7] * 4], [[7] * 12, [7]]]
    return uneven, uneven.dataset.batch([0, 1, 2], 2)


def test_the_longest_captions_come_first_and_finished_ones_are_not_active(small_data: Path) -> None:
    _, batch = long_and_short(small_data)
    assert batch.indices == (2, 0, 1)
    assert (batch.targets != PADDING).sum(dim=1).tolist() == [12, 1, 9, 3, 4, 2]
    assert batch.active == ((3, 2),) * 3 + ((3, 1),) + ((2, 1),) * 5 + ((1, 1),) * 3


def test_length_buckets_pad_batches_and_change_no_output(small_data: Path) -> None:
    plain, batch = long_and_short(small_data)
    _, padded = long_and_short(small_data, "training.length_buckets=8")
    assert (batch.tokens.shape, padded.tokens.shape) == ((6, 12), (6, 16))
    assert padded.words_of(padded.targets).equal(batch.words_of(batch.targets))
    with torch.no_grad():
        grid = plain.model.encode(batch.images)[0]
        expected, _ = plain.model.decoder(grid, batch.tokens, active=batch.active)
        for active in (padded.active, None):
            outputs, _ = plain.model.decoder(grid, padded.tokens, active=active)
            torch.testing.assert_close(padded.words_of(outputs), batch.words_of(expected))


def test_a_data_set_can_be_sent_to_a_worker(either: Setup) -> None:
    """Where processes are not forked, a data loader pickles the data set."""
    copy = pickle.loads(pickle.dumps(either.dataset))  # noqa: S301
    assert copy.batch([1, 3], 2).images.equal(either.dataset.batch([1, 3], 2).images)
