"""Score a run's captions of the val split with several searches: ``python benchmarks/searches.py RUN``.

Of several runs the mean of their weights is scored. For choosing a recipe's ``[search]`` and ``training.start``; what
ships is scored by ``looksay evaluate``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch

from looksay import data
from looksay.metrics import Scorer
from looksay.metrics.health import health
from looksay.specs import SearchOptions
from looksay.train import batches, build, trained
from looksay.train.batches import Pictures
from looksay.train.trained import Run
from looksay.words import tokenize

BEAMS = (2, 3, 4, 5)
EXPONENTS = (0.0, 0.7, 1.0, 1.2)
SCORES = ("BLEU-4", "ROUGE-L", "CIDEr-D")
HEALTH = ("unique captions %", "dangling endings %", "repeated words %")


@torch.inference_mode()
def captions(run: Run, pictures: Pictures, search: SearchOptions) -> list[str]:
    """Caption all pictures."""
    said = [""] * len(pictures)
    bf16 = build.precision(run.recipe.training.precision) == "bf16-mixed"
    for first in range(0, len(pictures), 50):
        batch = pictures.batch(range(first, min(first + 50, len(pictures))), 1)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            found = run.model.captions(run.model.grid(batch.pictures), run.vocabulary, search)
        for place, (best, *_) in zip(batch.places, found, strict=True):
            said[place] = run.vocabulary.decode(best.tokens)
    return said


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    folders = parser.parse_args().runs
    run = trained.load(folders[0])
    run.model.load_state_dict(trained.best_weights(folders))
    records = data.read(Path(run.recipe.data.folder), run.recipe.data).split("val")
    pictures = batches.pictures(records, run.recipe, run.vocabulary, run.model)
    scorer = Scorer([record.references for record in pictures.records])
    references = [[tokenize(text) for text in record.references] for record in pictures.records]
    print("beam, length exponent |", " | ".join((*SCORES, *HEALTH)))
    for beam, exponent in [(1, 0.0), *product(BEAMS, EXPONENTS)]:  # greedily there is one length to choose from
        said = captions(run, pictures, replace(run.recipe.search, beam=beam, length_exponent=exponent))
        scores, found = scorer.scores(said), health([tokenize(caption) for caption in said], references)
        figures = [f"{100 * scores[name]:.1f}" for name in SCORES] + [f"{found[name]:.1f}" for name in HEALTH]
        print(f"{beam}, {exponent} |", " | ".join(figures), flush=True)
