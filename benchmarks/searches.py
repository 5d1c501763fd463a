"""Score a run's captions of the val split with several searches: ``python benchmarks/searches.py RUN``.

Of several runs the mean of their weights is scored. For choosing a recipe's ``[decoding]`` and ``training.start``; what
ships is scored by ``looksay evaluate``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch

from looksay import data
from looksay.decoding.options import DecodingOptions
from looksay.metrics import Scorer
from looksay.metrics.diversity import health
from looksay.text.tokenizer import tokenize
from looksay.training import build, run_loader
from looksay.training.caption_dataset import CaptionDataset, caption_dataset
from looksay.training.run_loader import Run

BEAMS = (2, 3, 4, 5)
EXPONENTS = (0.0, 0.7, 1.0, 1.2)
SCORES = ("BLEU-4", "ROUGE-L", "CIDEr-D")
HEALTH = ("unique captions %", "dangling endings %", "repeated words %")


@torch.inference_mode()
def captions(run: Run, images: CaptionDataset, search: DecodingOptions) -> list[str]:
    """Caption all images."""
    said = [""] * len(images)
    bf16 = build.precision(run.recipe.training.precision) == "bf16-mixed"
    for first in range(0, len(images), 50):
        batch = images.batch(range(first, min(first + 50, len(images))), 1)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            found = run.model.captions(run.model.encode(batch.images), run.vocabulary, search)
        for place, (best, *_) in zip(batch.indices, found, strict=True):
            said[place] = run.vocabulary.decode(best.tokens)
    return said


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    folders = parser.parse_args().runs
    run = run_loader.load(folders[0])
    run.model.load_state_dict(run_loader.best_weights(folders))
    records = data.read(Path(run.recipe.data.folder), run.recipe.data).split("val")
    images = caption_dataset(records, run.recipe, run.vocabulary, run.model)
    scorer = Scorer([record.references for record in images.records])
    references = [[tokenize(text) for text in record.references] for record in images.records]
    print("beam, length exponent |", " | ".join((*SCORES, *HEALTH)))
    for beam, exponent in [(1, 0.0), *product(BEAMS, EXPONENTS)]:  # greedily there is one length to choose from
        said = captions(run, images, replace(run.recipe.decoding, num_beams=beam, length_penalty=exponent))
        scores, found = scorer.scores(said), health([tokenize(caption) for caption in said], references)
        figures = [f"{100 * scores[name]:.1f}" for name in SCORES] + [f"{found[name]:.1f}" for name in HEALTH]
        print(f"{beam}, {exponent} |", " | ".join(figures), flush=True)
