"""An epoch has every image once, on one device or several; a mixture has each data set by its weight."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from conftest import EXAMPLES, PHOTOS, ROOT, TINY
from lightning import Trainer
from test_caption_dataset import Setup, setup

import looksay
from looksay import BundleError, RecipeError
from looksay.export import export
from looksay.tagging.concepts import Concept, ConceptTable
from looksay.text.vocabulary import Vocabulary
from looksay.training import build, checkpoint, recipe_file, run
from looksay.training.caption_dataset import Share, caption_dataset
from looksay.training.datamodule import CaptionDataModule, read_data


@pytest.fixture(scope="module")
def frozen(small_data: Path) -> Setup:
    return setup(small_data, "training.batch_size=3")


def test_an_epoch_has_every_image_once_in_its_own_order(frozen: Setup) -> None:
    first, again, second = (frozen.data.train_batches(epoch) for epoch in (0, 0, 1))
    orders = [[index for batch in epoch for index in batch.indices] for epoch in (first, again, second)]  # type: ignore[attr-defined]
    assert sorted(orders[0]) == sorted(orders[2]) == list(range(16))
    assert orders[0] == orders[1] != orders[2]
    assert first[2].images.equal(again[2].images)
    assert [len(first[number].images) for number in range(6)] == [3, 3, 3, 3, 3, 1]


def test_val_batches_have_every_image_once(small_data: Path) -> None:
    batches = setup(small_data, "training.batch_size=7").data.val_batches(0)
    indices = [sorted(batches[number].indices) for number in range(len(batches))]
    assert indices == [list(range(7)), list(range(7, 14)), [14, 15]]


@pytest.mark.parametrize("batch_size", [2, 3, 5, 6, 16])
@pytest.mark.parametrize("devices", [1, 2])
def test_devices_share_every_batch(batch_size: int, devices: int, small_data: Path) -> None:
    data = setup(small_data, f"training.batch_size={batch_size}").data
    for batches in (data.train_batches, data.val_batches):
        shares = [batches(0, Share(rank, devices)) for rank in range(devices)]
        assert len({len(share) for share in shares}) == 1
        counts = Counter(index for share in shares for number in range(len(share)) for index in share[number].indices)
        assert counts == dict.fromkeys(range(16), 1)
        for number in range(len(shares[0])):
            assert sum(share[number].weight for share in shares) == pytest.approx(devices)
    with pytest.raises(RecipeError, match="17 devices cannot share"):
        data.train_batches(0, Share(0, 17))


@pytest.mark.slow
def test_workers_prepare_the_same_batches(small_data: Path) -> None:
    loaded = []
    for workers in (0, 2):
        options = ("encoder.trainable=true", "augmentation.crop=0.5", f"training.num_workers={workers}")
        data = setup(small_data, "training.batch_size=5", *options).data
        data.trainer = Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False)
        loaded.append(list(data.train_dataloader()))
    for one, two in zip(*loaded, strict=True):
        assert one.rows == two.rows
        assert torch.equal(one.images, two.images)
        assert torch.equal(one.targets, two.targets)


RECIPE = ROOT / "recipes" / "flickr8k.toml"


@pytest.fixture(scope="module")
def other_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another data set, of other words, without splits."""
    folder = tmp_path_factory.mktemp("data") / "other"
    folder.mkdir()
    rows = []
    for copy in range(2):
        for photo in PHOTOS[:3]:
            shutil.copy(EXAMPLES / photo, folder / f"{copy}-{photo}")
            rows.append({"image": f"{copy}-{photo}", "captions": [f"one purple accordion beside a {photo[:-4]}"]})
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return folder


@pytest.fixture
def changes(small_data: Path, other_data: Path) -> list[str]:
    sets = {"other": ("train", 2.5), "beside": ("val", 1.0)}
    mixed = [
        change
        for name, (split, weight) in sets.items()
        for change in (
            f"mixture.{name}.folder={other_data}", f"mixture.{name}.split={split}", f"mixture.{name}.weight={weight}"
        )
    ]  # fmt: skip
    return [*TINY, f"data.folder={small_data}", "data.weight=0.5", *mixed]


def test_parquet_files_are_unpacked_to_the_cache_of_the_recipe(tmp_path: Path) -> None:
    """The user's home may be too small for their images."""
    table = pyarrow.table({"image": [(EXAMPLES / "boats.jpg").read_bytes()], "caption": ["boats"]})
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
    changes = [f"data.folder={tmp_path / 'x.parquet'}", f"data.cache={tmp_path / 'disk'}"]
    (record,) = read_data(recipe_file.load(RECIPE, changes)).records
    assert record.image.is_relative_to(tmp_path / "disk")


def test_an_epoch_draws_each_set_by_its_weight(changes: list[str]) -> None:
    recipe = recipe_file.load(RECIPE, changes)
    dataset = read_data(recipe)
    assert Counter((r.source, r.split) for r in dataset.records) == {
        ("flickr8k", "train"): 16, ("flickr8k", "val"): 4, ("other", "train"): 6, ("beside", "val"): 6,
    }  # fmt: skip
    words = Vocabulary.build(text for record in dataset.split("train") for text in record.references)
    assert {"accordion", "harbour"} <= set(words.tokens)
    seen = caption_dataset(dataset.split("train"), recipe, words, build.caption_model(recipe, words))
    order = Counter[int]()
    for epoch in range(2):
        epoch_batches = CaptionDataModule(seen, seen, recipe).train_batches(epoch)
        this = [place for number in range(len(epoch_batches)) for place in epoch_batches[number].indices]
        assert Counter(seen.records[place].source for place in this) == {"flickr8k": 8, "other": 15}
        order.update(this)
    of_other = [order[place] for place, record in enumerate(seen.records) if record.source == "other"]
    assert sum(of_other) == 30
    assert min(of_other) >= 4
    assert max(of_other) <= 6


@pytest.mark.slow
def test_a_run_continues_on_a_mixture_and_its_bundle_mentions_detected_objects(
    changes: list[str], small_run: Path, other_data: Path, tmp_path: Path
) -> None:
    glove = tmp_path / "glove.txt"
    draw = np.random.default_rng(0)
    known = {*Vocabulary.load(small_run / "vocabulary.json").tokens, "zebra", "accordion"}
    glove.write_text("".join(f"{w} {' '.join(map(str, draw.normal(size=8)))}\n" for w in sorted(known)), "utf-8")
    more = (
        f"training.start={small_run}", "vocabulary.extend=true", "vocabulary.concepts=true",
        f"embedding.vectors={glove}",
        "training.epochs=2", "training.batch_size=8", f"training.run={tmp_path / 'run'}",
        "self_critical.samples=2",  # in a batch that has an image twice
    )  # fmt: skip
    with pytest.raises(RecipeError, match="has another vocabulary"):
        run.train(
            recipe_file.load(
                RECIPE,
                [*changes, *more, f"training.start=['{small_run}', '{_run_with_other_words(small_run, tmp_path)}']"],
            )
        )
    run.train(recipe_file.load(RECIPE, [*changes, *more]))
    rows = checkpoint.read(tmp_path / "run")
    of_sets = [rows[-1][f"val_{name}_CIDEr-D"] for name in ("flickr8k", "beside")]
    assert rows[-1]["val_CIDEr-D"] == pytest.approx(sum(of_sets) / 2, abs=1e-5)
    before, after = (Vocabulary.load(folder / "vocabulary.json") for folder in (small_run, tmp_path / "run"))
    assert after.tokens[: len(before)] == before.tokens
    assert {"purple", "zebra"} <= set(after.tokens)

    bundle = export.export(tmp_path / "run", tmp_path / "bundle", int8=True)
    assert bundle.spec.scores["also"]["beside"]["images"] == 6
    assert "| 6 of beside |" in (bundle.folder / "CARD.md").read_text(encoding="utf-8")
    assert bundle.tags is not None
    assert "zebra" in bundle.tags.rare_words
    assert "purple" not in bundle.tags.rare_words
    _mentions_detected_objects(bundle.folder)


def _run_with_other_words(run: Path, tmp_path: Path) -> Path:
    """Return a copy of a run with other words."""
    folder = tmp_path / "other-run"
    folder.mkdir()
    for file in (checkpoint.RECIPE, checkpoint.BEST):
        shutil.copy(run / file, folder)
    Vocabulary(("<start>", "<end>", "<unk>", "entirely", "different")).save(folder / checkpoint.VOCABULARY)
    return folder


def _mentions_detected_objects(folder: Path) -> None:
    """Make a captioner detect a zebra: it mentions the zebra if tags are on, and never otherwise."""
    captioner = looksay.load(folder)
    zebra = Concept(("zebra", "zebras"), ("zebra", "zebras"), "animal", tuple(range(1000)))
    with pytest.raises(BundleError, match=r"tags.json has classes that the encoder does not return"):
        looksay.Captioner(replace(captioner.bundle, tags=ConceptTable((replace(zebra, classes=(1000,)),))))
    captioner.bundle = replace(captioner.bundle, tags=ConceptTable((zebra,), rare_words=("zebra",)))
    photo = EXAMPLES / "boats.jpg"
    caption = captioner(photo)
    assert "zebra" in caption.tokens
    assert [(tag.name, tag.in_caption) for tag in caption.tags] == [("zebra", True)]
    off = captioner(photo, tags=False)
    assert "zebra" not in off.tokens
    assert [(tag.name, tag.in_caption) for tag in off.tags] == [("zebra", False)]
    assert captioner(photo, bad_words=("zebra", "zebras")).text == off.text
    assert captioner(photo, prefix="two zebra").text.startswith(
        "two zebra"
    )  # a word that it would not generate by itself
    assert captioner(photo, prefix="two zebra", tags=False).text.startswith("two zebra")
    with_beam = captioner(photo, num_captions=3)
    assert all({"zebra", "zebras"} & set(candidate.tokens) for candidate in with_beam)


def test_moved_sets_are_given_by_name(changes: list[str], small_data: Path, other_data: Path) -> None:
    recipe = recipe_file.load(RECIPE, [*changes, "mixture.other.folder=gone"])
    assert len(read_data(recipe, None, {"other": other_data}).records) == 32
    with pytest.raises(RecipeError, match=r"mixture.elsewhere is not in this recipe: use one of other, beside"):
        read_data(recipe, None, {"elsewhere": other_data})


def test_two_sets_of_one_name_are_refused(changes: list[str], small_data: Path) -> None:
    with pytest.raises(RecipeError, match=r"mixture.flickr8k has the name of data.folder: rename the section"):
        read_data(recipe_file.load(RECIPE, [*changes, f"mixture.flickr8k.folder={small_data}"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("mixture.x.weight=2", "mixture.x.folder '' is empty: name the folder"),
        ("mixture.x=2", r"mixture.x 2 is not a section: write \[mixture.NAME\]"),
        ("mixture.other.weight=0", "mixture.other.weight 0 is out of range: use a value above 0 and at most 100"),
        ("mixture.other.wieght=2", "did you mean mixture.other.weight"),
        ("mixture.other.split=test", "use one of own, train, val"),
        ("mixture=3", "write section.key=value"),
    ],
)
def test_a_mistake_in_a_mixture_is_named(change: str, message: str, changes: list[str]) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe_file.load(RECIPE, [*changes, change])


def test_a_mistake_in_a_mixture_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[data]\nweight = 2\n\n[mixture.my-photos]\nfolder = 'x'\nweight = 0\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"mine.toml, line 6: mixture.my-photos.weight 0 is out of range"):
        recipe_file.load(file)


def test_a_recipe_with_a_mixture_is_saved_and_read_again(changes: list[str], tmp_path: Path) -> None:
    recipe = recipe_file.load(RECIPE, [*changes, "mixture.my set.folder=x"])
    (tmp_path / "recipe.toml").write_text(recipe.to_toml(), encoding="utf-8")
    assert recipe_file.load(tmp_path / "recipe.toml") == recipe
    assert recipe.portable().mixture["other"].folder == "other"
