"""A page of sample captions of the val split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from PIL import Image

from looksay.evaluation.thumbnails import STRIP_STYLE, Thumbnail, attention_strip, data_url
from looksay.training.caption_dataset import CaptionDataset
from looksay.types import Caption

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("looksay.training"), autoescape=True, undefined=jinja2.StrictUndefined
)


def page(dataset: CaptionDataset, captions: Mapping[int, Caption], row: dict[str, Any], file: Path) -> None:
    """Write a self-contained HTML page of val images with the model's captions and the references.

    `captions` are those to show, by the index of their image: the same images every epoch. `row` has the epoch's
    metrics.
    """
    samples = []
    for (index, caption), pixels in zip(captions.items(), dataset.pixels(list(captions)), strict=True):
        image = Thumbnail(data_url(Image.fromarray(pixels)), "1")
        samples.append({
            "url": image.url,
            "caption": caption.text,
            "references": dataset.records[index].references,
            "attention": Markup(attention_strip(caption, image)),  # noqa: S704 - it escapes the words itself
        })  # fmt: skip
    title = f"Epoch {row['epoch']}: CIDEr-D {100 * row['val_CIDEr-D']:.1f}, BLEU-4 {100 * row['val_BLEU-4']:.1f}"
    style = Markup(STRIP_STYLE)  # noqa: S704 - a constant
    html = _TEMPLATES.get_template("samples.html").render(title=title, samples=samples, attention_style=style)
    file.write_text(html, encoding="utf-8")
