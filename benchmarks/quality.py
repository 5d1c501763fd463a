"""Caption a split with a bundle and score it: python benchmarks/quality.py --data DIR [--model M] [--beam N].

Also prints what a score does not show: how long, how varied and how repetitive the captions are.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import pairwise
from pathlib import Path

import looksay
from looksay import data
from looksay.metrics import score
from looksay.words import tokenize


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--model", default="default")
    parser.add_argument("--beam", type=int)
    parser.add_argument("--length-exponent", type=float)
    arguments = parser.parse_args()
    changes = {name: getattr(arguments, name) for name in ("beam", "length_exponent")}
    records = data.read(arguments.data).split(arguments.split)
    captioner = looksay.load(arguments.model)
    start = time.perf_counter()
    chosen = {name: value for name, value in changes.items() if value is not None}
    said = [caption.text for caption in captioner.captions((record.image for record in records), **chosen)]
    seconds = time.perf_counter() - start
    words = [tokenize(text) for text in said]
    scores = {name: round(100 * value, 2) for name, value in score(said, [r.references for r in records]).items()}
    facts = {
        "model": captioner.bundle.spec.name,
        "split": arguments.split,
        "pictures": len(said),
        **chosen,
        **scores,
        "mean words": round(sum(map(len, words)) / len(words), 2),
        "unique captions %": round(100 * len(set(said)) / len(said), 1),
        "distinct words": len({word for caption in words for word in caption}),
        "repeated words %": round(100 * sum(any(a == b for a, b in pairwise(c)) for c in words) / len(words), 2),
        "pictures a second": round(len(said) / seconds, 1),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
