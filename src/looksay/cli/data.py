"""``looksay data``: statistics and problems of a data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from looksay.cli.data_options import data_options, read_options

if TYPE_CHECKING:
    from looksay.data import Dataset

_BAR_WIDTH = 40
_LONGEST = 30  # words; longer captions share the last bar


@click.command()
@click.argument("data", type=click.Path(path_type=Path), metavar="DATA")
@click.option("--check", is_flag=True, help="Open every image, to find those that cannot be read.")
@click.option("--captions-only", is_flag=True, help="Read the captions of images that do not exist.")
@data_options
def data(data: Path, check: bool, captions_only: bool, **options: Any) -> None:
    """Print statistics and problems of a data set.

    DATA is a folder in the layout of Flickr8k, Flickr30k, COCO, Karpathy, Kaggle or Hugging Face, with a CSV, TSV,
    JSON or JSONL file of images and captions, with Parquet files or WebDataset tars that hold both, or with images and
    sidecar text files; or the file that holds the captions.

    \b
    looksay data flickr8k
    looksay data products/captions.csv --image-column photo --caption-column text
    """
    from looksay import data as datasets

    dataset = datasets.read(data, read_options(options), images=not captions_only)
    for line in _statistics(dataset, check=check):
        click.echo(line)


def _statistics(dataset: Dataset, *, check: bool) -> Iterator[str]:
    from looksay.data.summary import find_broken_images, summarise

    summary = summarise(dataset)
    yield f"{dataset.folder}: {dataset.layout}"
    yield ""
    yield f"{'split':10}{'images':>10}{'captions':>10}"
    for split, images in summary.images.items():
        yield f"{split:10}{images:>10,}{summary.captions[split]:>10,}"
    captions = sum(summary.captions.values())
    yield f"{'all':10}{len(dataset.records):>10,}{captions:>10,}"
    yield ""
    yield f"captions per image: {', '.join(f'{n} ({count:,})' for n, count in summary.references.items())}"
    mean = sum(length * count for length, count in summary.lengths.items()) / captions
    yield f"words per caption: {mean:.1f} on average, {min(summary.lengths)} to {max(summary.lengths)}"
    yield from _histogram(summary.lengths)
    counts = list(summary.words.values())
    frequent = ", ".join(
        f"{sum(count >= least for count in counts):,} occur {least} times or more" for least in (2, 3, 5)
    )
    yield f"vocabulary of the train split: {len(counts):,} words; {frequent}"
    yield f"most frequent: {', '.join(list(summary.words)[:15])}"
    yield ""
    problems = [*dataset.problems, *(find_broken_images(dataset) if check else ()), dataset.val_problem()]
    yield from list(filter(None, problems)) or ["no problems found"]
    if advice := dataset.advice():
        yield advice


def _histogram(lengths: dict[int, int]) -> Iterator[str]:
    bars = [lengths.get(length, 0) for length in range(_LONGEST)]
    bars.append(sum(count for length, count in lengths.items() if length >= _LONGEST))
    filled = [length for length, count in enumerate(bars) if count]
    for length in range(filled[0], filled[-1] + 1):
        bar = "█" * round(_BAR_WIDTH * bars[length] / max(bars)) or ("▏" if bars[length] else "")
        yield f"{length:>5}{'+' if length == _LONGEST else ' '} {bar:{_BAR_WIDTH}} {bars[length]:,}"
