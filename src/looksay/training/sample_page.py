"""A page of sample captions, to see how a run is doing."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from looksay.evaluation.thumbnails import STRIP_STYLE, Thumbnail, attention_strip, data_url
from looksay.training.module import CaptionModule

_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em;
       color-scheme: light dark; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(16em, 1fr)); gap: 1.5em; }
figure { margin: 0; } img { width: 100%; aspect-ratio: 1; border-radius: 6px; }
b { display: block; margin: .4em 0; } li { opacity: .75; } ul { margin: 0; padding-left: 1.2em; }
"""


def page(dataset: CaptionDataset, captions: Mapping[int, Caption], row: dict[str, Any], file: Path) -> None:
    """Write an HTML page of val images with the model's captions and people's; it needs no other file.

    The same images stand on every epoch's page.

    Parameters
    ----------
    dataset : CaptionDataset
        The val split.
    captions : mapping of int to Caption
        The captions to show, by the index of their image.
    row : dict
        The epoch's metrics.
    file : Path
    """
    figures = []
    for (place, said), pixels in zip(captions.items(), dataset.pixels(list(captions)), strict=True):
        references = "".join(f"<li>{html.escape(text)}</li>" for text in dataset.records[place].references)
        image = Thumbnail(data_url(Image.fromarray(pixels)), "1")
        looked = attention_strip(said, image)
        unfold = f"<details><summary>where it looked</summary>{looked}</details>" if looked else ""
        figures.append(
            f'<figure><img alt="" src="{image.url}"><figcaption><b>{html.escape(said.text)}</b>'
            f"<ul>{references}</ul>{unfold}</figcaption></figure>"
        )
    title = f"Epoch {row['epoch']}: CIDEr-D {100 * row['val_CIDEr-D']:.1f}, BLEU-4 {100 * row['val_BLEU-4']:.1f}"
    file.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}{STRIP_STYLE}</style><h1>{title}</h1>"
        f"<p>Bold: what the model says. Below: what people said.</p>"
        f"<main>{''.join(figures)}</main></html>\n",
        encoding="utf-8",
    )
