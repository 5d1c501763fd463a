"""Parity and speed of looksay's metrics against pycocoevalcap.

python benchmarks/metrics_parity.py DATA... [--captions FILE]

For each data set: how many captions pycocoevalcap's Java tokenizer splits differently; and, for the captions in FILE or
else the first caption of each image against its others, the largest difference between the scores, each with its own
tokenizer, and the median seconds that both take on the same words. Needs Java.
"""

from __future__ import annotations

from pathlib import Path

from pycocoevalcap.bleu.bleu import Bleu as CocoBleu
from pycocoevalcap.cider.cider import Cider as CocoCider
from pycocoevalcap.rouge.rouge import Rouge as CocoRouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer
from timing import median_seconds, parser, print_row

from looksay import data
from looksay.evaluation import predictions
from looksay.metrics import score
from looksay.metrics.bleu import bleu
from looksay.metrics.cider import CiderD
from looksay.metrics.ngrams import References
from looksay.metrics.rouge import rouge_l
from looksay.text.tokenizer import tokenize

ROUNDS = 5
BATCH = 160  # captions that a self-critical step samples: 5 for each of 32 images

Words = list[list[str]]
Texts = dict[int, list[str]]


def java_tokenize(captions: list[list[str]]) -> list[Words]:
    """Return the words of each image's captions, by the Java tokenizer."""
    rows = {index: [{"caption": text} for text in texts] for index, texts in enumerate(captions)}
    tokenized = PTBTokenizer().tokenize(rows)
    return [[text.split() for text in tokenized[index]] for index in rows]


def coco_scores(references: Texts, captions: Texts) -> dict[str, float]:
    """Score with pycocoevalcap."""
    bleu = CocoBleu(4).compute_score(references, captions, verbose=0)[0]
    return {f"BLEU-{n}": value for n, value in enumerate(bleu, 1)} | {
        "ROUGE-L": float(CocoRouge().compute_score(references, captions)[0]),
        "CIDEr-D": float(CocoCider().compute_score(references, captions)[0]),
    }


def looksay_scores(references: list[Words], captions: Words) -> None:
    """Score with looksay, from words."""
    reference_ngrams = References(references)
    ngrams = reference_ngrams.count(captions)
    bleu(ngrams, reference_ngrams)
    rouge_l(captions, references)
    CiderD(reference_ngrams).image_scores(ngrams)


def rewards_per_second(references: list[Words], captions: Words) -> float:
    """Return how many captions CIDEr-D scores per second over token ids, in the batches of self-critical training."""
    ids: dict[str, int] = {}

    def encode(words: list[str]) -> list[int]:
        return [ids.setdefault(word, len(ids)) for word in words]

    reference_ngrams = References([[encode(words) for words in texts] for texts in references])
    cider, sampled = CiderD(reference_ngrams), [encode(words) for words in captions]

    def score_all() -> None:
        for start in range(0, len(sampled), BATCH):
            batch = sampled[start : start + BATCH]
            cider.image_scores(reference_ngrams.count(batch), range(start, start + len(batch)))

    return len(captions) / median_seconds(score_all, ROUNDS)


def compare(folder: Path, captions_file: Path | None) -> dict[str, object]:
    """Compare looksay with pycocoevalcap on a data set."""
    dataset = data.read(folder, images=False)
    texts = [list(record.references) for record in dataset.records]
    pairs = zip((t for own in texts for t in own), (w for own in java_tokenize(texts) for w in own), strict=True)
    differing = [text for text, words in pairs if tokenize(text) != words]
    if captions_file:
        predicted = predictions.read(captions_file, dataset, "all")
        captions, references = predicted.captions, [list(record.references) for record in predicted.records]
    else:
        several = [own for own in texts if len(own) > 1]
        captions, references = [own[0] for own in several], [own[1:] for own in several]
    caption_words = [words for (words,) in java_tokenize([[text] for text in captions])]
    reference_words = java_tokenize(references)
    coco_captions = {index: [" ".join(words)] for index, words in enumerate(caption_words)}
    coco_references = {index: [" ".join(words) for words in own] for index, own in enumerate(reference_words)}
    expected, actual = coco_scores(coco_references, coco_captions), score(captions, references)
    coco_seconds = median_seconds(lambda: coco_scores(coco_references, coco_captions), ROUNDS)
    looksay_seconds = median_seconds(lambda: looksay_scores(reference_words, caption_words), ROUNDS)
    return {
        "data": folder.name,
        "captions": sum(map(len, texts)),
        "tokenized differently": len(differing),
        "examples": differing[:3],
        "scored": len(captions),
        "scores": {name: round(value, 6) for name, value in actual.items()},
        "largest difference": f"{max(abs(expected[name] - actual[name]) for name in expected):.0e}",
        "pycocoevalcap seconds": coco_seconds,
        "looksay seconds": looksay_seconds,
        "ratio": round(coco_seconds / looksay_seconds, 1),
        "rewards per second": round(rewards_per_second(reference_words, caption_words)),
    }


def main() -> None:
    """Print a row for each data set."""
    arguments = parser(__doc__)
    arguments.add_argument("data", type=Path, nargs="+")
    arguments.add_argument("--captions", type=Path)
    options = arguments.parse_args()
    for folder in options.data:
        print_row(**compare(folder, options.captions))


if __name__ == "__main__":
    main()
