"""Ranges are taken from what graphs really compute: of images in the encoder, of captions in the decoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from cnn_graph import IMAGES, cnn_graph, run
from conftest import EXAMPLES, PHOTOS

import looksay
from looksay import images
from looksay.export.activations import decoder_inputs, encoder_inputs, observe
from looksay.runtime.bundle import DECODER, ENCODER
from looksay.text.vocabulary import Vocabulary


def test_values_and_means_are_those_of_the_tensors_of_all_images() -> None:
    observed = observe(cnn_graph(), ["features"], encoder_inputs(IMAGES))["features"]
    features = run(cnn_graph(), IMAGES)
    assert np.isin(observed.values, features).all()
    assert observed.values.mean() == pytest.approx(features.mean(), rel=0.05)
    assert observed.means == pytest.approx(features.mean(axis=(0, 2, 3)), rel=1e-5)


def test_the_decoder_reads_the_captions_that_it_generates(small_bundle: Path) -> None:
    captioner = looksay.load(small_bundle)
    pixels = np.stack([images.prepare(EXAMPLES / photo, captioner.bundle.spec.image) for photo in PHOTOS])
    encoder, decoder = (onnx.load(small_bundle / name) for name in (ENCODER, DECODER))
    steps = list(decoder_inputs(encoder, decoder, pixels))
    tokens = np.concatenate([step["token"] for step in steps], axis=1)
    assert (tokens[:, 0] == Vocabulary.start).all()
    for photo, row in zip(PHOTOS, tokens, strict=True):
        caption = captioner(EXAMPLES / photo, num_beams=1).tokens[: len(row) - 1]
        assert captioner.bundle.vocabulary.to_tokens(row[1 : len(caption) + 1].tolist()) == caption
