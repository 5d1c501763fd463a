"""Equality with pycocoevalcap on random captions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pycocoevalcap.bleu.bleu import Bleu as CocoBleu
from pycocoevalcap.cider.cider import Cider as CocoCider
from pycocoevalcap.rouge.rouge import Rouge as CocoRouge

from looksay.metrics import ngrams
from looksay.metrics.bleu import bleu
from looksay.metrics.cider import CiderD
from looksay.metrics.ngrams import References
from looksay.metrics.rouge import rouge_l

words = st.lists(st.sampled_from("a dog runs man in red".split()), max_size=8)
corpora = st.lists(st.tuples(words, st.lists(words, min_size=1, max_size=4)), min_size=2, max_size=6)
Corpus = list[tuple[list[str], list[list[str]]]]


@settings(deadline=None, max_examples=200)
@given(corpora, st.booleans())
def test_every_score_equals_coco_captions(corpus: Corpus, hashed: bool) -> None:
    captions, references = [caption for caption, _ in corpus], [image for _, image in corpus]
    assume(any(reference for image in references for reference in image))  # without any word pycocoevalcap crashes
    results = {image: [" ".join(caption)] for image, caption in enumerate(captions)}
    truths = {image: [" ".join(reference) for reference in others] for image, others in enumerate(references)}
    with pytest.MonkeyPatch.context() as patch:
        if hashed:  # as it is beyond 32,768 words
            patch.setattr(ngrams, "_EXACT", 0)
        counted = References(references)
    own = counted.count(captions)
    assert bleu(own, counted) == pytest.approx(CocoBleu(4).compute_score(truths, results, verbose=0)[0], abs=1e-9)
    assert rouge_l(captions, references) == pytest.approx(CocoRouge().compute_score(truths, results)[1], abs=1e-9)
    assert CiderD(counted).image_scores(own) == pytest.approx(CocoCider().compute_score(truths, results)[1], abs=1e-9)


@settings(deadline=None)
@given(corpora, st.randoms(use_true_random=False))
def test_cider_d_of_any_captions_of_any_images_is_that_of_the_whole(corpus: Corpus, draw: object) -> None:
    """As a training reward it scores several captions of some images, with token ids as words."""
    ids = {word: number for number, word in enumerate("a dog runs man in red".split())}
    counted = References([[[ids[word] for word in reference] for reference in image] for _, image in corpus])
    captions = [[ids[word] for word in caption] for caption, _ in corpus]
    cider = CiderD(counted)
    whole = cider.image_scores(counted.count(captions))
    images = [place for place in range(len(captions)) for _ in range(2)]
    assert cider.image_scores(counted.count([captions[i] for i in images]), images) == pytest.approx(
        np.repeat(whole, 2)
    )


def test_bleu_of_the_counts_of_coco_captions_example() -> None:
    """Its published counts: guess 9893 8893 7893 6893, correct 5732 2510 1043 423, lengths 9893 and 9855."""
    guessed, correct = (9893, 8893, 7893, 6893), (5732, 2510, 1043, 423)
    precisions = [hits / tries for hits, tries in zip(correct, guessed, strict=True)]
    expected = [math.prod(precisions[:n]) ** (1 / n) for n in (1, 2, 3, 4)]
    assert [round(value, 3) for value in expected] == [0.579, 0.404, 0.279, 0.191]
    # A corpus with these very counts: 1,000 captions of 9 or 10 words whose first words are their reference's.
    captions, references = _corpus(guessed, correct)
    counted = References(references)
    assert bleu(counted.count(captions), counted) == pytest.approx(expected, abs=1e-9)


def _corpus(guessed: tuple[int, ...], correct: tuple[int, ...]) -> tuple[list[list[int]], list[list[list[int]]]]:
    """Build captions with the wanted counts from runs of right words: a run of k words has k - n + 1 right n-grams."""
    four = correct[3]
    three = correct[2] - 2 * four  # runs of 3, when the runs of 4 bring two trigrams each
    two = correct[1] - 3 * four - 2 * three
    one = correct[0] - 4 * four - 3 * three - 2 * two
    runs = [4] * four + [3] * three + [2] * two + [1] * one
    assert min(three, two, one) >= 0
    number = iter(range(1, 1_000_000))
    captions: list[list[int]] = [[] for _ in range(1000)]
    truths: list[list[int]] = [[] for _ in range(1000)]
    lengths = [10] * 893 + [9] * 107
    place = 0
    for run in runs:
        while len(captions[place]) + run + 1 > lengths[place]:
            place = (place + 1) % 1000
        right = [next(number) for _ in range(run)]
        captions[place] += [*right, next(number)]  # a wrong word keeps runs apart
        truths[place] += [*right, next(number)]
        place = (place + 1) % 1000
    for caption, truth, length in zip(captions, truths, lengths, strict=True):
        caption += [next(number) for _ in range(length - len(caption))]
        truth += [next(number) for _ in range(length - len(truth))]
    assert sum(map(len, captions)) == guessed[0]
    return captions, [[truth] for truth in truths]


def test_bleu_by_hand() -> None:
    """Four of five words count, as "the" is in the reference once; and five words are too few for seven."""
    counted = References([["the cat sat down there on it".split()]])
    (first, *_) = bleu(counted.count(["the the cat sat down".split()]), counted)
    assert first == pytest.approx(4 / 5 * math.exp(1 - 7 / 5), abs=1e-6)


def test_rouge_l_by_hand() -> None:
    """Of "a b c d", "a c e" shares two words in order: precision 2/4, recall 2/3."""
    precision, recall, beta = 2 / 4, 2 / 3, 1.2
    expected = (1 + beta**2) * precision * recall / (recall + beta**2 * precision)
    assert rouge_l(["a b c d".split()], [["a c e".split()]]) == pytest.approx([expected])
