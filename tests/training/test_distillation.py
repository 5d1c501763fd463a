"""Soft targets are the teachers' distributions, at the right word of the right caption."""

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
from looksay.training import recipe_file, run, run_loader
from looksay.training.caption_dataset import CaptionDataset, caption_dataset
from looksay.training.distillation import SoftTargets
from looksay.training.recipe import Recipe
from looksay.training.sections import AugmentationOptions


@pytest.fixture
def recipe(small_run: Path, tmp_path: Path) -> Recipe:
    """The teacher's recipe with a cache of its own and mirrored images."""
    recipe = run_loader.load(small_run).recipe
    return replace(recipe, data=replace(recipe.data, cache=str(tmp_path)), augmentation=AugmentationOptions())


@pytest.fixture
def student(small_data: Path, small_run: Path, recipe: Recipe) -> CaptionDataset:
    """The images of the teacher's run, each with its caption and a shorter one."""
    teacher = run_loader.load(small_run)
    records = [
        replace(record, references=(record.references[0], " ".join(record.references[0].split()[:3])))
        for record in data.read(small_data).split("train")
    ]
    return caption_dataset(records, recipe, teacher.vocabulary, teacher.model, augmented=True)


def test_they_are_the_top_tokens_of_the_teacher(student: CaptionDataset, recipe: Recipe, small_run: Path) -> None:
    teacher, soft = run_loader.load(small_run), SoftTargets([str(small_run)], student, recipe)
    for image, caption in ((0, 0), (len(student) - 1, 1)):
        targets = student.captions[image][caption]
        grid = teacher.model.encode(student.batch([image], 1).images)[0]
        tokens = torch.tensor([[student.vocabulary.start, *targets[:-1]]])
        with torch.no_grad():
            outputs, _ = teacher.model.decoder(grid, tokens)
            expected = teacher.model.decoder.output_head(outputs)[0].softmax(dim=-1)
        words, probabilities = soft(image, caption)
        assert words.shape == probabilities.shape == (len(targets), 32)
        assert probabilities.sum(axis=1) == pytest.approx(1)
        best = expected.topk(32)
        assert [set(row) for row in words.tolist()] == [set(row) for row in best.indices.tolist()]
        wanted = expected.gather(1, torch.from_numpy(words)) / best.values.sum(dim=1, keepdim=True)
        torch.testing.assert_close(torch.from_numpy(probabilities), wanted, atol=2e-3, rtol=2e-2)


def test_several_teachers_give_the_mean_of_their_probabilities(
    student: CaptionDataset, recipe: Recipe, small_data: Path, small_run: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    changes = [*TINY, f"data.folder={small_data}", f"training.run={other}", "training.epochs=1", "training.seed=1"]
    run.train(recipe_file.load(ROOT / "recipes" / "flickr8k.toml", changes))
    one, two, both = (
        SoftTargets(names, student, recipe) for names in ([str(small_run)], [str(other)], [str(small_run), str(other)])
    )

    def dense(soft: SoftTargets) -> np.ndarray:
        words, probabilities = soft(5, 1)
        table = np.zeros((len(words), len(student.vocabulary)))
        np.put_along_axis(table, words, probabilities, axis=1)
        return table

    likely = dense(both) > 0.05
    assert dense(both)[likely] == pytest.approx((dense(one) + dense(two))[likely] / 2, rel=0.1)


def test_a_batch_has_them_in_the_order_of_its_words_and_mirrored(
    small_data: Path, small_run: Path, student: CaptionDataset, recipe: Recipe
) -> None:
    student.soft_targets = SoftTargets([str(small_run)], student, recipe)
    mirrored = set()
    for seed in range(4):
        batch = student.batch([2, 0], 2, np.random.default_rng(seed))
        assert batch.soft_targets is not None
        words, probabilities = batch.soft_targets
        assert len(words) == len(probabilities) == len(batch.word_indices)
        first = 0
        for row, (image, caption) in enumerate(batch.rows):
            expected, _ = student.soft_targets(image, caption)
            flip = bool(batch.mirrored[row // 2])
            mirrored.add(flip)
            expected = student._mirrored_ids[expected] if flip else expected
            assert words[first : first + len(expected)].tolist() == expected.tolist()
            first += len(expected)
    assert mirrored == {True, False}


def test_a_teacher_with_another_vocabulary_teaches_the_words_that_both_have(
    student: CaptionDataset, recipe: Recipe, small_run: Path
) -> None:
    same = SoftTargets([str(small_run)], student, recipe)
    special, words = student.vocabulary.tokens[:3], student.vocabulary.tokens[3:]
    new = Vocabulary((*special, "giraffe", *reversed(words)))
    token = {id_: new.tokens.index(word) for id_, word in enumerate(student.vocabulary.tokens)}
    captions = [[[token[id_] for id_ in caption] for caption in captions] for captions in student.captions]
    student.vocabulary, student.captions = new, captions
    other = SoftTargets([str(small_run)], student, recipe)
    for image, caption in ((0, 0), (len(student) - 1, 1)):
        expected = [
            {token[id_]: value for id_, value in zip(*row, strict=True) if id_ != new.unk}
            for row in zip(*(array.tolist() for array in same(image, caption)), strict=True)
        ]
        actual = [
            dict(zip(*row, strict=True))
            for row in zip(*(array.tolist() for array in other(image, caption)), strict=True)
        ]
        for of_same, of_other in zip(expected, actual, strict=True):
            assert new.tokens.index("giraffe") not in of_other
            assert new.unk not in of_other
            best = max(of_same, key=of_same.__getitem__)
            total = sum(of_same.values())
            assert of_other[best] == pytest.approx(of_same[best] / total, rel=0.05)


def test_a_word_that_no_teacher_knows_is_its_own_soft_target(
    student: CaptionDataset, recipe: Recipe, small_run: Path
) -> None:
    targets = student.captions[0][0]
    tokens = list(student.vocabulary.tokens)
    tokens[targets[2]] = "giraffe"
    student.vocabulary = Vocabulary(tuple(tokens))
    words, probabilities = SoftTargets([str(small_run)], student, recipe)(0, 0)
    for place, target in enumerate(targets):
        likely = set(words[place][probabilities[place] > 0].tolist())
        assert (likely == {target}) == (target == targets[2])
        assert probabilities[place].sum() == pytest.approx(1)


def test_a_teacher_of_other_captions_or_without_an_epoch_is_refused(
    student: CaptionDataset, recipe: Recipe, small_run: Path, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="is not a run"):
        SoftTargets([str(tmp_path)], student, recipe)
    count = len(student.vocabulary)
    student.vocabulary = Vocabulary((*student.vocabulary.tokens[:3], *(f"word{index}" for index in range(count))))
    with pytest.raises(RecipeError, match=f"has 0 of this recipe's {count} words"):
        SoftTargets([str(small_run)], student, recipe)


def test_they_are_computed_again_for_other_images(
    student: CaptionDataset, recipe: Recipe, small_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = student.cache.folder.parent
    SoftTargets([str(small_run)], student, recipe)
    SoftTargets([str(small_run)], student, recipe)
    assert len(list(folder.glob("soft-*.npy"))) == 1
    monkeypatch.setattr(student.cache, "folder", folder / "images-of-others")
    SoftTargets([str(small_run)], student, recipe)
    assert len(list(folder.glob("soft-*.npy"))) == 2


def test_a_teacher_with_another_trained_encoder_reads_the_same_images(
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
        *teaching, f"training.run={tmp_path / 'student'}", f'distillation.teachers=["{teacher}"]',
    ]))  # fmt: skip
    assert len(list((tmp_path / "one").glob("images-*"))) == 4  # train and val, each at two sizes: none twice


def test_the_weight_of_distillation_matters(small_data: Path, small_run: Path, tmp_path: Path) -> None:
    """With weight 0 an epoch gives the same weights as without a teacher, with weight 1 others."""
    best = []
    for name, more in (("alone", []), ("distilled", ["distillation.weight=1"]), ("ignored", ["distillation.weight=0"])):
        changes = [*TINY, f"data.folder={small_data}", f"training.run={tmp_path / name}", "training.epochs=1", *more]
        if more:
            changes.append(f'distillation.teachers=["{small_run}"]')
        best.append(run.train(recipe_file.load(ROOT / "recipes" / "flickr8k.toml", changes)))
    alone, distilled, ignored = (run_loader.load(folder).model.decoder.state_dict() for folder in best)
    assert all(torch.equal(alone[name], ignored[name]) for name in alone)
    assert not all(torch.equal(alone[name], distilled[name]) for name in alone)
