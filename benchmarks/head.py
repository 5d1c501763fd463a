"""Does the CNN still know ImageNet's classes after it has learned to caption? On images that it was not trained on.

python benchmarks/head.py --data PATH/TO/coco-sample [--split all] [--model default] --weights FILE.safetensors

Compares the classes' scores that a bundle's encoder tells with those of the network before: how often the likeliest
class is the same, and how well either finds the nouns that people mention (average precision).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

import looksay
from looksay import data
from looksay.runtime.onnx_model import SCORES
from looksay.text.tokenizer import tokenize


def average_precision(likely: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Return the mean of the precisions at each right one, from the likeliest to the least likely."""
    ranked = right.ravel()[np.argsort(-likely.ravel(), kind="stable")]
    return float((np.cumsum(ranked) / np.arange(1, ranked.size + 1))[ranked].mean())


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="all")
    parser.add_argument("--model", default="default")
    parser.add_argument("--weights", type=Path, required=True)
    chosen = parser.parse_args()
    captioner = looksay.load(chosen.model)
    spec, table = captioner.bundle.spec, captioner.bundle.tags
    if table is None:
        parser.error(f"{chosen.model} has no table of nouns")
    before = timm.create_model(spec.encoder).eval()
    before.load_state_dict({name: value.float() for name, value in load_file(chosen.weights).items()})
    records = data.read(chosen.data).split(chosen.split)
    told, known = [], []
    for record in records:
        (pixels,) = captioner.prepare(record.image)
        told.append(captioner.encode([(pixels,)]).memory[f"0.{SCORES}"])
        with torch.inference_mode():
            known.append(before(torch.from_numpy(pixels[None])).numpy())
    now, then = np.concatenate(told), np.concatenate(known)
    same = now.argmax(axis=1) == then.argmax(axis=1)
    likely = np.exp(then - then.max(axis=1, keepdims=True))
    sure = likely.max(axis=1) / likely.sum(axis=1) >= 0.5
    print(f"{len(records)} images: the likeliest class is the same in {same.mean():.1%};")
    print(f"in {same[sure].mean():.1%} of the {sure.sum()} in which the network before gives it 0.5 or more")
    said = [{word for text in record.references for word in tokenize(text)} for record in records]
    right = np.array([[not words.isdisjoint(noun.named_by) for noun in table.nouns] for words in said])
    for name, scores in (("before", then), ("now", now)):
        found = average_precision(table.probabilities(scores), right)
        print(f"average precision of {right.sum()} mentions, {name}: {found:.3f}")


if __name__ == "__main__":
    main()
