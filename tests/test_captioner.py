"""Who captions photos: one, many, broken ones among them, in Python."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES, PHOTOS
from PIL import Image, ImageOps

import looksay
from looksay import Caption, Captioner, ImageError, OptionError, images
from looksay.decoding.options import DecodingOptions, Overrides
from looksay.runtime.onnx_model import SCORES


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return looksay.load()


def test_the_shipped_model_sees_what_the_photos_show(captioner: Captioner) -> None:
    said = {photo: captioner(EXAMPLES / photo).text for photo in PHOTOS}
    assert len(set(said.values())) == len(PHOTOS)
    assert {"woman", "man", "girl", "boy", "person"} & set(said["astronaut.jpg"].split())
    assert "man" in said["photographer.png"]
    assert "camera" in said["photographer.png"]
    assert "mountain" in said["alps.jpg"]
    assert "boat" in said["boats.jpg"]


def test_one_function_does_the_job() -> None:
    text = looksay.caption(str(EXAMPLES / "photographer.png"))
    assert text == looksay.load()(EXAMPLES / "photographer.png").text
    assert 3 <= len(text.split()) <= 20


def test_a_caption_knows_its_words_and_probability(captioner: Captioner) -> None:
    caption = captioner(EXAMPLES / "boats.jpg")
    assert isinstance(caption, Caption)
    assert str(caption) == caption.text
    assert -30 < caption.log_prob < 0
    assert caption.attention is None


def test_attention_is_the_same_alone_and_among_others(captioner: Captioner) -> None:
    options = captioner.options({"num_captions": 2, "prefix": "a man"})
    prepared = [captioner.prepare(EXAMPLES / photo) for photo in PHOTOS]
    together = captioner.generate(prepared, options, attention=True)
    for each, one in zip(prepared, together, strict=True):
        (alone,) = captioner.generate([each], options, attention=True)
        for here, there in zip(one, alone, strict=True):
            assert here.attention is not None
            assert there.attention is not None
            assert here.tokens == there.tokens
            assert here.attention.shape[0] == len(here.tokens)
            np.testing.assert_allclose(here.attention, there.attention, atol=1e-3)


def test_attention_says_where_each_word_looked(captioner: Captioner) -> None:
    caption = captioner(EXAMPLES / "boats.jpg", attention=True)
    assert caption.attention is not None
    assert caption.attention.shape == (len(caption.tokens), *captioner.bundle.spec.grid)
    np.testing.assert_allclose(caption.attention.sum(axis=(1, 2)), 1, atol=1e-3)
    assert caption == captioner(EXAMPLES / "boats.jpg")


def test_n_best_are_different_and_sorted(captioner: Captioner) -> None:
    found = captioner.candidates(EXAMPLES / "astronaut.jpg", num_captions=5)
    assert len({caption.text for caption in found}) == 5
    assert found[0] == captioner(EXAMPLES / "astronaut.jpg", num_beams=5)


def test_a_stream_is_in_order_and_reads_only_what_is_needed() -> None:
    captioner = looksay.load(threads=2)
    read: list[str] = []

    def endless() -> Iterator[Path]:
        for photo in itertools.cycle(PHOTOS):
            read.append(photo)
            yield EXAMPLES / photo

    texts = [caption.text for caption in itertools.islice(captioner.captions(endless(), batch=3), 5)]
    assert texts[0] == texts[4]
    assert texts[:4] == [captioner(EXAMPLES / photo).text for photo in PHOTOS]
    assert len(read) <= 4 * 3  # two batches at work, one that waits, one that was said


def test_a_broken_image_stops_captions_but_not_outcomes(captioner: Captioner, tmp_path: Path) -> None:
    paths = [EXAMPLES / "alps.jpg", tmp_path / "none.jpg", EXAMPLES / "boats.jpg"]
    outcomes = list(captioner.outcomes(paths))
    assert [isinstance(outcome, ImageError) for outcome in outcomes] == [False, True, False]
    assert str(outcomes[1]).endswith("none.jpg: there is no such file")
    with pytest.raises(ImageError, match=r"none\.jpg"):
        list(captioner.captions(paths))
    assert all(isinstance(outcome, ImageError) for outcome in captioner.outcomes([b"", b"x"]))
    assert list(captioner.outcomes([])) == []


def test_options_are_checked_by_name(captioner: Captioner) -> None:
    with pytest.raises(OptionError, match="no search option beams; there are beam"):
        captioner(EXAMPLES / "alps.jpg", beams=3)  # type: ignore[call-arg]
    with pytest.raises(OptionError, match="beam is 0"):
        captioner(EXAMPLES / "alps.jpg", num_beams=0)
    with pytest.raises(OptionError, match="num_captions is 4"):
        captioner(EXAMPLES / "alps.jpg", num_beams=3, num_captions=4)
    with pytest.raises(OptionError, match="batch is 0"):
        captioner.outcomes([EXAMPLES / "alps.jpg"], batch=0)
    assert Overrides.__annotations__.keys() == DecodingOptions.__annotations__.keys()


def test_max_words_is_kept(captioner: Captioner) -> None:
    assert len(captioner(EXAMPLES / "astronaut.jpg", max_length=4).tokens) <= 4


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("batch", [1, 3, 8, 64])
def test_neither_batch_nor_threads_change_captions(captioner: Captioner, batch: int, threads: int) -> None:
    """Each image alone, by all cores, says what it says among others, whichever worker it comes to."""
    photos = [EXAMPLES / photo for photo in PHOTOS]
    variants: list[Image.Image] = [
        turned for photo in photos for turned in _variants(images.read(photo))
    ]  # 4 photos in 5 forms
    alone = [captioner(image, num_beams=3) for image in variants]
    together = list(looksay.load(threads=threads).captions(variants, batch=batch, num_beams=3))
    assert [caption.text for caption in together] == [caption.text for caption in alone]
    np.testing.assert_allclose([c.log_prob for c in together], [c.log_prob for c in alone], atol=0.02)  # int8 rounds


def test_a_image_is_seen_and_read_alike_alone_and_among_others_to_the_last_bit(captioner: Captioner) -> None:
    prepared = [captioner.prepare(EXAMPLES / photo) for photo in PHOTOS]
    together = captioner.encode(prepared)
    tokens = np.array([3, 4, 5, 6, 7, 8, 9, 10])
    log_probs, _ = captioner.step(tokens, together.take(np.repeat(np.arange(4), 2)))
    for place, image in enumerate(prepared):
        alone = captioner.encode([image])
        for name, array in alone.memory.items():
            # The last bits of the scores of classes depend on how many rows a product has.
            close = 1e-4 if SCORES in name else 0
            np.testing.assert_allclose(array[0], together.memory[name][place], rtol=0, atol=close, err_msg=name)
        own, _ = captioner.step(tokens[2 * place : 2 * place + 2], alone.take(np.zeros(2, dtype=int)))
        np.testing.assert_array_equal(own, log_probs[2 * place : 2 * place + 2])


def _variants(photo: Image.Image) -> list[Image.Image]:
    half = photo.crop((0, 0, photo.width // 2, photo.height))
    return [photo, half, ImageOps.mirror(photo), ImageOps.flip(photo), ImageOps.invert(photo)]


def test_a_stream_that_is_left_early_leaves_nothing_running(captioner: Captioner) -> None:
    before = threading.active_count()
    stream = looksay.load(threads=2).captions(itertools.repeat(EXAMPLES / "boats.jpg"), batch=2)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
