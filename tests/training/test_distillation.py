"""A captioner taught by better ones must hear what they would really say, at the right word of the right caption."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, TINY

from looksay import RecipeError, RunError, data
from looksay.text.vocabulary import Vocabulary
from looksay.training import batches, recipe_file, run, run_loader
from looksay.training.batches import CaptionDataset
from looksay.training.distillation import SoftTargets
from looksay.training.losses import distillation
from looksay.training.sections import AugmentationOptions


@pytest.fixture
def learner(small_data: Path, small_run: Path, tmp_path: Path) -> CaptionDataset:
    """The images and captions of the run that is the teacher."""
    left = run_loader.load(small_run)
    recipe = replace(
        left.recipe, data=replace(left.recipe.data, cache=str(tmp_path)), augmentation=AugmentationOptions()
    )
    records = [
        replace(record, references=(record.references[0], " ".join(record.references[0].split()[:3])))
        for record in data.read(small_data).split("train")
    ]
    return batches.images(records, recipe, left.vocabulary, left.model, augmented=True)


def test_they_say_what_the_teacher_says_after_the_words_before(learner: CaptionDataset, small_run: Path) -> None:
    teacher, soft = run_loader.load(small_run), SoftTargets([str(small_run)], learner)
    for image, caption in ((0, 0), (len(learner) - 1, 1)):
        said = learner.captions[image][caption]
        seen = learner.batch([image], 1).images
        read = torch.tensor([[learner.vocabulary.start, *said[:-1]]])
        with torch.no_grad():
            outputs, _ = teacher.model.decoder(seen, read)
            expected = teacher.model.decoder.output_head(outputs)[0].softmax(dim=-1)
        words, probabilities = soft(image, caption)
        assert words.shape == probabilities.shape == (len(said), 32)
        assert probabilities.sum(axis=1) == pytest.approx(1)
        best = expected.topk(32)
        assert [set(row) for row in words.tolist()] == [set(row) for row in best.indices.tolist()]
        there = expected.gather(1, torch.from_numpy(words)) / best.values.sum(dim=1, keepdim=True)
        torch.testing.assert_close(torch.from_numpy(probabilities), there, atol=2e-3, rtol=2e-2)


def test_several_teachers_speak_with_the_mean_of_their_probabilities(
    learner: CaptionDataset, small_data: Path, small_run: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    changes = [*TINY, f"data.folder={small_data}", f"training.run={other}", "training.epochs=1", "training.seed=1"]
    run.train(recipe_file.load(ROOT / "recipes" / "flickr8k.toml", changes))
    one, two, both = (
        SoftTargets(names, learner) for names in ([str(small_run)], [str(other)], [str(small_run), str(other)])
    )

    def full(soft: SoftTargets) -> np.ndarray:
        words, probabilities = soft(5, 1)
        table = np.zeros((len(words), len(learner.vocabulary)))
        np.put_along_axis(table, words, probabilities, axis=1)
        return table

    likely = full(both) > 0.05
    assert full(both)[likely] == pytest.approx((full(one) + full(two))[likely] / 2, rel=0.1)


def test_a_batch_brings_them_in_the_order_of_its_words_and_mirrored(
    small_data: Path, small_run: Path, learner: CaptionDataset
) -> None:
    learner.soft = SoftTargets([str(small_run)], learner)
    mirrored = set()
    for seed in range(4):
        batch = learner.batch([2, 0], 2, np.random.default_rng(seed), flip=True)
        assert batch.soft is not None
        words, probabilities = batch.soft
        assert len(words) == len(probabilities) == batch.counted.sum()
        first = 0
        for row, (image, caption) in enumerate(batch.rows):
            expected, _ = learner.soft(image, caption)
            turned = bool(batch.mirrored[row // 2])
            mirrored.add(turned)
            expected = learner._mirror[expected] if turned else expected
            assert words[first : first + len(expected)].tolist() == expected.tolist()
            first += len(expected)
    assert mirrored == {True, False}


def test_a_teacher_of_other_words_or_without_an_epoch_is_refused(
    learner: CaptionDataset, small_run: Path, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="is not a run"):
        SoftTargets([str(tmp_path)], learner)
    learner.vocabulary = Vocabulary(learner.vocabulary.tokens[:-1])
    with pytest.raises(RecipeError, match="other words than this recipe gives"):
        SoftTargets([str(small_run)], learner)


def test_other_images_under_the_same_names_are_looked_at_anew(
    learner: CaptionDataset, small_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = learner.cache.folder.parent
    SoftTargets([str(small_run)], learner)
    SoftTargets([str(small_run)], learner)
    assert len(list(folder.glob("soft-*.npy"))) == 1
    monkeypatch.setattr(learner.cache, "folder", folder / "images-of-other-times")
    SoftTargets([str(small_run)], learner)
    assert len(list(folder.glob("soft-*.npy"))) == 2


def test_a_teacher_with_another_encoder_that_learned_teaches_of_the_images_that_can_be_read(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "data"
    shutil.copytree(small_data, broken)
    (broken / "Images" / "1-boats.jpg").write_bytes(b"no image")
    monkeypatch.setenv("LOOKSAY_CACHE", str(tmp_path / "one"))
    own = [
        "encoder.name=test_resnet",
        "image.size=32",
        "encoder.trainable=true",
        f"training.run={tmp_path / 'teacher'}",
    ]
    teaching = [*TINY, f"data.folder={broken}", "training.epochs=1"]
    teacher = run.train(recipe_file.load(ROOT / "recipes" / "flickr8k.toml", [*teaching, *own]))
    run.train(recipe_file.load(ROOT / "recipes" / "flickr8k.toml", [
        *teaching, f"training.run={tmp_path / 'learner'}", f'distillation.teachers=["{teacher}"]',
    ]))  # fmt: skip
    assert len(list((tmp_path / "one").glob("images-*"))) == 4  # train and val, each at two sizes: none twice


def test_the_loss_by_hand() -> None:
    scores = torch.log(torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]))
    words, probabilities = torch.tensor([[0, 2], [2, 1]]), torch.tensor([[0.75, 0.25], [0.5, 0.5]])
    p = torch.log(torch.tensor([0.7, 0.1, 0.8]))
    by_hand = -((0.75 * p[0] + 0.25 * p[1]) + (0.5 * p[2] + 0.5 * p[1])) / 2
    torch.testing.assert_close(distillation(scores, words, probabilities), by_hand)


def test_what_a_recipe_asks_for_is_what_is_learned(small_data: Path, small_run: Path, tmp_path: Path) -> None:
    """One epoch with the teacher leads elsewhere than one without; weight 0 leads to the same."""
    best = []
    for name, more in (("alone", []), ("taught", ["distillation.weight=1"]), ("unheard", ["distillation.weight=0"])):
        changes = [*TINY, f"data.folder={small_data}", f"training.run={tmp_path / name}", "training.epochs=1", *more]
        if more:
            changes.append(f'distillation.teachers=["{small_run}"]')
        best.append(run.train(recipe_file.load(ROOT / "recipes" / "flickr8k.toml", changes)))
    alone, taught, unheard = (run_loader.load(folder).model.decoder.state_dict() for folder in best)
    assert all(torch.equal(alone[name], unheard[name]) for name in alone)
    assert not all(torch.equal(alone[name], taught[name]) for name in alone)
