"""The Python API: captions of one image or many, broken ones among them."""

from __future__ import annotations

import io
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import EXAMPLES, PHOTOS, SAMPLES
from PIL import Image, ImageOps

import looksay
from looksay import Caption, Captioner, ImageError, OptionError, images
from looksay.runtime.onnx_model import SCORES


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return looksay.load()


def test_the_shipped_model_describes_the_photos(captioner: Captioner) -> None:
    texts = {photo: captioner(EXAMPLES / photo).text for photo in PHOTOS}
    assert len(set(texts.values())) == len(PHOTOS)
    assert {"woman", "man", "girl", "boy", "person"} & set(texts["astronaut.jpg"].split())
    assert "man" in texts["photographer.png"]
    assert {"camera", "tripod", "telescope"} & set(texts["photographer.png"].split())
    assert "mountain" in texts["alps.jpg"]
    assert "boat" in texts["boats.jpg"]


def test_one_function_returns_the_text() -> None:
    text = looksay.caption(str(EXAMPLES / "photographer.png"))
    assert text == looksay.caption(EXAMPLES / "photographer.png", num_captions=3)
    assert text == looksay.load()(EXAMPLES / "photographer.png").text
    assert 3 <= len(text.split()) <= 20
    with pytest.raises(ImageError, match="no such file"):
        looksay.caption("none.jpg")


def test_a_caption_has_its_text_and_log_probability(captioner: Captioner) -> None:
    caption = captioner(EXAMPLES / "boats.jpg")
    assert isinstance(caption, Caption)
    assert str(caption) == caption.text
    assert -30 < caption.log_prob < 0
    assert caption.attention is None


def test_attention_is_the_same_alone_and_among_others(captioner: Captioner) -> None:
    options = captioner.options({"num_captions": 2, "prefix": "a man"})
    prepared = [captioner.prepare(EXAMPLES / photo) for photo in PHOTOS]
    together = captioner.generate(prepared, options, attention=True)
    for image, captions in zip(prepared, together, strict=True):
        (alone,) = captioner.generate([image], options, attention=True)
        for first, second in zip(captions, alone, strict=True):
            assert first.attention is not None
            assert second.attention is not None
            assert first.tokens == second.tokens
            assert first.attention.shape[0] == len(first.tokens)
            np.testing.assert_allclose(first.attention, second.attention, atol=1e-3)


def test_there_is_an_attention_map_for_each_token(captioner: Captioner) -> None:
    caption = captioner(EXAMPLES / "boats.jpg", attention=True)
    assert caption.attention is not None
    assert caption.attention.shape == (len(caption.tokens), *captioner.bundle.spec.grid)
    np.testing.assert_allclose(caption.attention.sum(axis=(1, 2)), 1, atol=1e-3)
    assert caption == captioner(EXAMPLES / "boats.jpg")


def test_num_captions_gives_a_list_of_different_captions(captioner: Captioner) -> None:
    captions = captioner(EXAMPLES / "astronaut.jpg", num_captions=5)
    assert len({caption.text for caption in captions}) == 5
    assert len(captioner(EXAMPLES / "astronaut.jpg", num_captions=5, num_beams=4, num_beam_groups=2)) == 5


@pytest.mark.parametrize("num_captions", [1, 2, 3, 5, 10])
def test_the_best_caption_does_not_depend_on_how_many_are_asked_for(captioner: Captioner, num_captions: int) -> None:
    photos = [EXAMPLES / photo for photo in SAMPLES]
    several = captioner(photos, num_captions=num_captions)
    assert [captions[0] for captions in several if isinstance(captions, list)] == captioner(photos)


def test_an_iterable_of_images_gives_a_list_with_errors_in_their_places(captioner: Captioner) -> None:
    paths = [EXAMPLES / "alps.jpg", Path("none.jpg"), EXAMPLES / "boats.jpg"]
    results = captioner(paths)
    assert [type(result) for result in results] == [Caption, ImageError, Caption]
    assert [results[0], results[2]] == [captioner(paths[0]), captioner(paths[2])]
    assert str(results[1]) == "none.jpg: there is no such file"
    several = captioner((path for path in paths), num_captions=2)
    assert [isinstance(result, ImageError) or len(result) for result in several] == [2, True, 2]
    assert captioner([]) == []


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview, io.BytesIO])
def test_images_are_taken_as_bytes(captioner: Captioner, form: Any) -> None:
    path = EXAMPLES / "boats.jpg"
    assert captioner(form(path.read_bytes())) == captioner(path)


def test_an_array_is_one_image(captioner: Captioner) -> None:
    pixels = np.asarray(images.read(EXAMPLES / "boats.jpg"))
    assert captioner(pixels) == captioner([pixels])[0]
    for stream in (captioner.captions, captioner.outcomes):
        with pytest.raises(OptionError, match=r"iterable of images, not array of shape .*: put a single image into a"):
            stream(pixels)
    for source in ("photo.jpg", b"", None, Path("photo.jpg")):
        with pytest.raises(OptionError, match="sources must be an iterable of images"):
            captioner.captions(source)  # type: ignore[arg-type]


@pytest.mark.parametrize("source", [None, 3, {"image": "photo.jpg"}, "https://example.org/photo.jpg"])
def test_other_objects_are_an_image_error(captioner: Captioner, source: Any) -> None:
    with pytest.raises(ImageError, match=r"is not an image: pass a path|is a URL: download the image"):
        captioner(source)


def test_the_representation_names_the_model(captioner: Captioner) -> None:
    spec = captioner.bundle.spec
    assert repr(captioner) == f"<Captioner {spec.name}: {spec.encoder}, {spec.decoder}, 4456 tokens, on cpu>"


def test_a_stream_is_in_order_and_reads_only_what_is_needed() -> None:
    captioner = looksay.load(threads=2)
    read: list[str] = []

    def endless() -> Iterator[Path]:
        for photo in itertools.cycle(PHOTOS):
            read.append(photo)
            yield EXAMPLES / photo

    captions = list(itertools.islice(captioner.captions(endless(), batch=3), 5))
    assert captions[0] == captions[4]
    assert captions[:4] == [captioner(EXAMPLES / photo) for photo in PHOTOS]
    assert len(read) <= 4 * 3  # two batches in work, one pending, one finished


def test_a_broken_image_does_not_stop_a_stream(captioner: Captioner, tmp_path: Path) -> None:
    paths = [EXAMPLES / "alps.jpg", tmp_path / "none.jpg", EXAMPLES / "boats.jpg"]
    outcomes = list(captioner.outcomes(paths))
    assert [isinstance(outcome, ImageError) for outcome in outcomes] == [False, True, False]
    assert str(outcomes[1]).endswith("none.jpg: there is no such file")
    captions = list(captioner.captions(paths, batch=1))
    assert [type(caption) for caption in captions] == [Caption, ImageError, Caption]
    assert all(isinstance(outcome, ImageError) for outcome in captioner.outcomes([b"", b"x"]))
    assert list(captioner.outcomes([])) == []


def test_a_damaged_or_closed_pillow_image_does_not_stop_a_batch(captioner: Captioner, tmp_path: Path) -> None:
    """Pillow reads the pixels late, as data sets of many tools do."""
    boats = EXAMPLES / "boats.jpg"
    (tmp_path / "half.jpg").write_bytes(boats.read_bytes()[:20_000])
    with Image.open(boats) as left:
        pass
    closed = Image.open(boats)
    closed.close()
    with Image.open(tmp_path / "half.jpg") as damaged, Image.open(boats) as good:
        outcomes = captioner([damaged, left, closed, good])
    assert [type(outcome) for outcome in outcomes] == [ImageError, ImageError, ImageError, Caption]
    assert "half.jpg: the file is truncated or damaged" in str(outcomes[0])
    assert "boats.jpg: the image is closed: open it again" in str(outcomes[1])


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2"])
def test_threads_are_checked_at_once(threads: Any) -> None:
    with pytest.raises(OptionError, match=r"threads .* is out of range: use 1 or more, or None for all cores"):
        looksay.load(threads=threads)


@pytest.mark.parametrize("model", [None, ["default", "default"], 3])
def test_what_is_no_model_is_named(model: Any) -> None:
    with pytest.raises(looksay.BundleError, match=r"names no model: use a name, a folder or a hub id"):
        looksay.load(model)


def test_options_are_checked_by_name(captioner: Captioner) -> None:
    photo = EXAMPLES / "alps.jpg"
    with pytest.raises(OptionError, match="no decoding option beams: use num_beams, num_captions"):
        captioner(photo, beams=3)
    with pytest.raises(OptionError, match="num_beams 0 is out of range: use 1 to 100"):
        captioner(photo, num_beams=0)
    with pytest.raises(OptionError, match="num_captions 101 is out of range: use 1 to 100"):
        captioner(photo, num_captions=101)
    with pytest.raises(OptionError, match="num_captions 'many' is not a whole number"):
        captioner(photo, num_captions="many")
    with pytest.raises(OptionError, match="num_beam_groups 0 is out of range"):
        captioner(photo, num_beam_groups=0)
    for batch in (0, "8", 1.5):
        with pytest.raises(OptionError, match=r"batch .* is out of range: use 1 or more"):
            captioner.outcomes([photo], batch=batch)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="force_words: 'xylophone' is not in the model's vocabulary"):
        captioner.outcomes([photo], force_words=["xylophone"])


def test_the_number_of_beams_follows_the_other_options(captioner: Captioner) -> None:
    own = captioner.bundle.spec.decoding.num_beams
    for overrides, num_beams in (
        ({}, own),
        ({"num_captions": 5}, own),
        ({"num_beam_groups": 2}, 4),
        ({"num_beam_groups": 4, "num_captions": 5}, 4),
        ({"num_beams": 7}, 7),
    ):
        before = dict(overrides)
        assert captioner.options(overrides).num_beams == num_beams
        assert overrides == before


def test_captions_contain_forced_words(captioner: Captioner) -> None:
    forced = captioner(EXAMPLES / "boats.jpg", force_words=["dog", "water"], bad_words=["boat"], prefix="two")
    assert {"dog", "water"} <= set(forced.tokens)
    assert "boat" not in forced.tokens
    assert forced.tokens[0] == "two"


def test_captions_have_at_most_the_maximum_length(captioner: Captioner) -> None:
    assert len(captioner(EXAMPLES / "astronaut.jpg", max_length=4).tokens) <= 4


@pytest.fixture(scope="module")
def variants(captioner: Captioner) -> list[tuple[Image.Image, Caption]]:
    """The four photos in five forms, with their captions."""
    variants = [variant for photo in PHOTOS for variant in _variants(images.read(EXAMPLES / photo))]
    return [(image, captioner(image)) for image in variants]


@pytest.mark.parametrize(("batch", "threads"), [(1, 3), (3, 1), (8, 3), (64, 1)])
def test_captions_do_not_depend_on_batch_and_threads(
    variants: list[tuple[Image.Image, Caption]], batch: int, threads: int
) -> None:
    together = looksay.load(threads=threads).captions([image for image, _ in variants], batch=batch)
    for first, (_, second) in zip(together, variants, strict=True):
        assert not isinstance(first, ImageError)
        assert first.text == second.text
        assert first.log_prob == pytest.approx(second.log_prob, abs=0.02)  # int8 rounds


def test_encoding_and_decoding_steps_do_not_depend_on_the_batch_to_the_last_bit(captioner: Captioner) -> None:
    prepared = [captioner.prepare(EXAMPLES / photo) for photo in PHOTOS]
    together = captioner.encode(prepared)
    tokens = np.array([3, 4, 5, 6, 7, 8, 9, 10])
    log_probs, _ = captioner.step(tokens, together.take(np.repeat(np.arange(4), 2)))
    for index, image in enumerate(prepared):
        alone = captioner.encode([image])
        for name, array in alone.memory.items():
            # The last bits of the classes' logits depend on the number of rows of a product.
            tolerance = 1e-4 if SCORES in name else 0
            np.testing.assert_allclose(array[0], together.memory[name][index], rtol=0, atol=tolerance, err_msg=name)
        rows = slice(2 * index, 2 * index + 2)
        alone_log_probs, _ = captioner.step(tokens[rows], alone.take(np.zeros(2, dtype=int)))
        np.testing.assert_array_equal(alone_log_probs, log_probs[rows])


def _variants(photo: Image.Image) -> list[Image.Image]:
    half = photo.crop((0, 0, photo.width // 2, photo.height))
    return [photo, half, ImageOps.mirror(photo), ImageOps.flip(photo), ImageOps.invert(photo)]


def test_no_thread_runs_after_a_stream_is_closed(captioner: Captioner) -> None:
    before = threading.active_count()
    stream = looksay.load(threads=2).captions(itertools.repeat(EXAMPLES / "boats.jpg"), batch=2)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
