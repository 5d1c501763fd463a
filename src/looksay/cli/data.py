"""``looksay data``: what is in a data set, before anyone trains on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from looksay.cli.data_options import data_options, read_options

if TYPE_CHECKING:
    from looksay.data import Dataset

_BAR = 40
_LONGEST = 30  # longer captions share the last bar


@click.command()
@click.argument("data", type=click.Path(path_type=Path), metavar="DATA")
@click.option("--check", is_flag=True, help="Also open every image.")
@click.option("--captions-only", is_flag=True, help="The images need not be there.")
@data_options
def data(data: Path, check: bool, captions_only: bool, **options: Any) -> None:
    """Say what a data set holds, and what is wrong with it.

    DATA is a folder in the layout of Flickr8k, Flickr30k, COCO, Karpathy or Kaggle, with a CSV, TSV or JSONL file of
    images and captions, or with images that have text files beside them; or the file that holds the captions.

    \b
    looksay data flickr8k
    looksay data products/captions.csv --image-column photo --caption-column text
    """
    from looksay import data as datasets

    dataset = datasets.read(data, read_options(options), images=not captions_only)
    for line in _report(dataset, check=check):
        click.echo(line)


def _report(dataset: Dataset, *, check: bool) -> Iterator[str]:
    from looksay.data.summary import broken_images, summarise

    found = summarise(dataset)
    yield f"{dataset.folder}: {dataset.layout}"
    yield ""
    yield f"{'split':10}{'images':>10}{'captions':>10}"
    for split, images in found.images.items():
        yield f"{split:10}{images:>10,}{found.captions[split]:>10,}"
    captions = sum(found.captions.values())
    yield f"{'all':10}{len(dataset.records):>10,}{captions:>10,}"
    yield ""
    yield f"captions an image: {', '.join(f'{n} ({count:,})' for n, count in found.references.items())}"
    mean = sum(length * count for length, count in found.lengths.items()) / captions
    yield f"words a caption: {mean:.1f} on average, {min(found.lengths)} to {max(found.lengths)}"
    yield from _histogram(found.lengths)
    counts = list(found.words.values())
    known = ", ".join(f"{sum(count >= least for count in counts):,} occur {least} times or more" for least in (2, 5))
    yield f"vocabulary: {len(counts):,} words; {known}"
    yield f"most frequent: {', '.join(list(found.words)[:15])}"
    yield ""
    yield from [*dataset.problems, *(broken_images(dataset) if check else ())] or ["no problems found"]


def _histogram(lengths: dict[int, int]) -> Iterator[str]:
    bars = [sum(count for length, count in lengths.items() if length == n) for n in range(_LONGEST)]
    bars.append(sum(count for length, count in lengths.items() if length >= _LONGEST))
    first = next(n for n, count in enumerate(bars) if count)
    last = max(n for n, count in enumerate(bars) if count)
    for n in range(first, last + 1):
        bar = "█" * round(_BAR * bars[n] / max(bars)) or ("▏" if bars[n] else "")
        yield f"{n:>5}{'+' if n == _LONGEST else ' '} {bar:{_BAR}} {bars[n]:,}"
