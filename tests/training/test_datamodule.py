"""An epoch has every image once, on one device or several, in the main process or in workers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from lightning import Trainer
from test_caption_dataset import Setup, setup

from looksay.errors import RecipeError
from looksay.training.caption_dataset import Share


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
