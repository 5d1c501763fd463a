"""A page of sample captions of the val split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from PIL import Image

from looksay.evaluation.thumbnails import STRIP_STYLE, Thumbnail, attention_strip, data_url
from looksay.training.module import CaptionModule

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("looksay.training"), autoescape=True, undefined=jinja2.StrictUndefined
)


def page(module: CaptionModule, row: dict[str, Any], file: Path) -> None:
    """Write a self-contained HTML page of val images with the model's captions and the references.

    Every epoch's page shows the same images.

    Parameters
    ----------
    module : CaptionModule
        After validation.
    row : dict
        The epoch's metrics.
    file : Path
    """
    images = module.images["val"]
    samples = []
    for place, pixels in zip(module.shown, images.pixels(module.shown), strict=True):
        caption = module.said[place]
        image = Thumbnail(data_url(Image.fromarray(pixels)), "1")
        samples.append({
            "url": image.url,
            "caption": caption.text,
            "references": images.records[place].references,
            "attention": Markup(looks(caption, image)),  # noqa: S704 - it escapes the words itself
        })  # fmt: skip
    title = f"Epoch {row['epoch']}: CIDEr-D {100 * row['val_CIDEr-D']:.1f}, BLEU-4 {100 * row['val_BLEU-4']:.1f}"
    style = Markup(LOOKS_STYLE)  # noqa: S704 - a constant
    html = _TEMPLATES.get_template("samples.html").render(title=title, samples=samples, attention_style=style)
    file.write_text(html, encoding="utf-8")
