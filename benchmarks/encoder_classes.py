"""Whether a fine-tuned encoder still recognises ImageNet's classes, on images that it was not trained on.

python benchmarks/encoder_classes.py --data COCO_SAMPLE [--split all] [--model default] --weights FILE.safetensors

Compares the class scores of a bundle's encoder with those of the network before fine-tuning: how often the most
probable class is the same, and how well each detects the concepts that people mention (average precision).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from timing import parser

import looksay
from looksay import data
from looksay.runtime.onnx_model import SCORES
from looksay.text.tokenizer import tokenize


def average_precision(probabilities: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """Return the mean precision at each positive label, from the most to the least probable."""
    ranked = labels.ravel()[np.argsort(-probabilities.ravel(), kind="stable")]
    return float((np.cumsum(ranked) / np.arange(1, ranked.size + 1))[ranked].mean())


def main() -> None:
    """Print both comparisons."""
    arguments = parser(__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--split", default="all")
    arguments.add_argument("--model", default="default")
    arguments.add_argument("--weights", type=Path, required=True)
    options = arguments.parse_args()
    captioner = looksay.load(options.model)
    table = captioner.bundle.tags
    if table is None:
        arguments.error(f"{options.model} has no concept table")
    network = timm.create_model(captioner.bundle.spec.encoder).eval()
    network.load_state_dict({name: value.float() for name, value in load_file(options.weights).items()})
    records = data.read(options.data).split(options.split)
    tuned_scores, original_scores = [], []
    for record in records:
        (pixels,) = captioner.prepare(record.image)
        tuned_scores.append(captioner.encode([(pixels,)]).memory[f"0.{SCORES}"])
        with torch.inference_mode():
            original_scores.append(network(torch.from_numpy(pixels[None])).numpy())
    tuned, original = np.concatenate(tuned_scores), np.concatenate(original_scores)
    is_same = tuned.argmax(axis=1) == original.argmax(axis=1)
    softmax = np.exp(original - original.max(axis=1, keepdims=True))
    is_confident = softmax.max(axis=1) / softmax.sum(axis=1) >= 0.5
    print(f"{len(records)} images: the most probable class is the same in {is_same.mean():.1%};")
    print(f"in {is_same[is_confident].mean():.1%} of the {is_confident.sum()} with a probability of 0.5 or more before")
    words = [{word for text in record.references for word in tokenize(text)} for record in records]
    labels = np.array([[not own.isdisjoint(concept.named_by) for concept in table.concepts] for own in words])
    for name, scores in (("before", original), ("after", tuned)):
        precision = average_precision(table.probabilities(scores), labels)
        print(f"average precision of {labels.sum()} mentions, {name} fine-tuning: {precision:.3f}")


if __name__ == "__main__":
    main()
