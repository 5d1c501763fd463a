"""Score a run's captions of the val split with several decoding options: ``python benchmarks/decoding_sweep.py RUN``.

For several runs, the mean of their weights is scored. Use it to choose a recipe's ``[decoding]`` and
``training.start``; a bundle is scored by ``looksay evaluate``.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import torch
from timing import parser

from looksay import data
from looksay.decoding.options import DecodingOptions
from looksay.metrics import Scorer
from looksay.metrics.diversity import diversity
from looksay.text.tokenizer import tokenize
from looksay.training import build, checkpoint, run_loader
from looksay.training.caption_dataset import CaptionDataset, caption_dataset
from looksay.training.feature_cache import precision
from looksay.training.run_loader import Run

BEAMS = (2, 3, 4, 5)
LENGTH_PENALTIES = (0.0, 0.7, 1.0, 1.2)
SCORES = ("BLEU-4", "ROUGE-L", "CIDEr-D")
DIVERSITY = ("unique captions %", "dangling endings %", "repeated words %")
BATCH = 50


@torch.inference_mode()
def generate(run: Run, dataset: CaptionDataset, options: DecodingOptions) -> list[str]:
    """Return a caption of every image."""
    captions = [""] * len(dataset)
    bf16 = precision(run.recipe.training.precision) == "bf16-mixed"
    for start in range(0, len(dataset), BATCH):
        batch = dataset.batch(range(start, min(start + BATCH, len(dataset))), 1)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            hypotheses = run.model.captions(run.model.encode(batch.images), run.vocabulary, options)
        for index, (best, *_) in zip(batch.indices, hypotheses, strict=True):
            captions[index] = run.vocabulary.decode(best.tokens)
    return captions


def main() -> None:
    """Print a row for each beam size and length penalty."""
    arguments = parser(__doc__)
    arguments.add_argument("runs", type=Path, nargs="+")
    folders = arguments.parse_args().runs
    run = run_loader.load(folders[0])
    run.model.load_state_dict(build.mean_weights([checkpoint.best_weights(folder) for folder in folders]))
    records = data.read(Path(run.recipe.data.folder), run.recipe.data).split("val")
    dataset = caption_dataset(records, run.recipe, run.vocabulary, run.model)
    scorer = Scorer([record.references for record in dataset.records])
    references = [[tokenize(text) for text in record.references] for record in dataset.records]
    print("beam, length penalty |", " | ".join((*SCORES, *DIVERSITY)))
    for beam, penalty in [(1, 0.0), *product(BEAMS, LENGTH_PENALTIES)]:  # a beam of 1 has one length to choose from
        captions = generate(run, dataset, replace(run.recipe.decoding, num_beams=beam, length_penalty=penalty))
        scores, figures = scorer.scores(captions), diversity([tokenize(text) for text in captions], references)
        cells = [f"{100 * scores[name]:.1f}" for name in SCORES] + [f"{figures[name]:.1f}" for name in DIVERSITY]
        print(f"{beam}, {penalty} |", " | ".join(cells), flush=True)


if __name__ == "__main__":
    main()
