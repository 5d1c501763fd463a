"""Are looksay's scores coco-caption's, and how much faster are they? python benchmarks/scores.py DATA... [--said FILE].

For each data set: how many captions pycocoevalcap's Java tokeniser splits otherwise than ours; and, for the captions in
FILE or else the first caption of each image against its others, the largest difference of the scores, each with its
own tokeniser, and how long both take on the same words. Needs Java. Times are medians of `ROUNDS`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from pycocoevalcap.bleu.bleu import Bleu as CocoBleu
from pycocoevalcap.cider.cider import Cider as CocoCider
from pycocoevalcap.rouge.rouge import Rouge as CocoRouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

from looksay import data
from looksay.evaluation import predictions
from looksay.metrics import score
from looksay.metrics.bleu import Bleu
from looksay.metrics.cider import CiderD
from looksay.metrics.ngrams import References
from looksay.metrics.rouge import RougeL
from looksay.text.tokenizer import tokenize

ROUNDS = 5
BATCH = 160  # captions that a training step samples: 32 images, 5 each

Words = list[list[str]]
Texts = dict[int, list[str]]


def java_words(captions: list[list[str]]) -> list[Words]:
    """Return the words of captions as the Java tokeniser splits them."""
    rows = {place: [{"caption": caption} for caption in several] for place, several in enumerate(captions)}
    found = PTBTokenizer().tokenize(rows)
    return [[text.split() for text in found[place]] for place in rows]


def coco_scores(truths: Texts, results: Texts) -> dict[str, float]:
    """Score with pycocoevalcap."""
    bleu = CocoBleu(4).compute_score(truths, results, verbose=0)[0]
    return {f"BLEU-{n}": value for n, value in enumerate(bleu, 1)} | {
        "ROUGE-L": float(CocoRouge().compute_score(truths, results)[0]),
        "CIDEr-D": float(CocoCider().compute_score(truths, results)[0]),
    }


def own_scores(references: list[Words], said: Words) -> None:
    """Score with looksay, from words."""
    counted = References(references)
    predictions = counted.count(said)
    Bleu(counted).scores(predictions)
    RougeL(references).image_scores(said)
    CiderD(counted).image_scores(predictions)


def seconds(work: Callable[[], object]) -> float:
    """Return the median time of `work`."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def rewards(references: list[Words], said: Words) -> float:
    """Return how many captions a second CIDEr-D scores over ids, in batches as training has them."""
    ids: dict[str, int] = {}

    def numbered(words: list[str]) -> list[int]:
        return [ids.setdefault(word, len(ids)) for word in words]

    counted = References([[numbered(words) for words in others] for others in references])
    cider, sampled = CiderD(counted), [numbered(words) for words in said]

    def epoch() -> None:
        for first in range(0, len(said), BATCH):
            batch = sampled[first : first + BATCH]
            cider.image_scores(counted.count(batch), range(first, first + len(batch)))

    return len(said) / seconds(epoch)


def compare(folder: Path, said_in: Path | None) -> dict[str, object]:
    """Compare looksay with pycocoevalcap on a data set."""
    dataset = data.read(folder, images=False)
    everything = [list(record.references) for record in dataset.records]
    differing = [
        caption
        for captions, theirs in zip(everything, java_words(everything), strict=True)
        for caption, words in zip(captions, theirs, strict=True)
        if tokenize(caption) != words
    ]
    if said_in:
        found = predictions.read(said_in, dataset, "all")
        said, references = found.captions, [list(record.references) for record in found.records]
    else:
        several = [captions for captions in everything if len(captions) > 1]
        said, references = [captions[0] for captions in several], [captions[1:] for captions in several]
    said_words = [words[0] for words in java_words([[caption] for caption in said])]
    reference_words = java_words(references)
    results = {place: [" ".join(words)] for place, words in enumerate(said_words)}
    truths = {place: [" ".join(words) for words in several] for place, several in enumerate(reference_words)}
    theirs, ours = coco_scores(truths, results), score(said, references)
    slow, fast = seconds(lambda: coco_scores(truths, results)), seconds(lambda: own_scores(reference_words, said_words))
    return {
        "data": str(folder.name),
        "captions": sum(map(len, everything)),
        "split otherwise": len(differing),
        "for example": differing[:3],
        "scored": len(said),
        "scores": {name: round(value, 6) for name, value in ours.items()},
        "largest difference": max(abs(theirs[name] - ours[name]) for name in theirs),
        "pycocoevalcap s": round(slow, 3),
        "looksay s": round(fast, 3),
        "ratio": round(slow / fast, 1),
        "rewards a second": round(rewards(reference_words, said_words)),
    }


def main() -> None:
    """Print a row for each data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--said", type=Path)
    arguments = parser.parse_args()
    for folder in arguments.data:
        print(json.dumps(compare(folder, arguments.said)))


if __name__ == "__main__":
    main()
