"""What the dialects of OpenAI and Ollama share: images in JSON, options by other names, captions as answers.

looksay reads the images of a request and no text: a prompt is accepted, because clients send one, and has no effect.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, NamedTuple

from fastapi import HTTPException, Request

from looksay.server.schemas import ImageResult
from looksay.server.uploads import Upload

Captions = Callable[[Request, Sequence[Upload], dict[str, Any]], Awaitable[list[ImageResult]]]
"""Caption uploads with decoding options in place of the model's own."""


_TINY = 1e-9


class Answer(NamedTuple):
    """A caption of each image of a request, one a line."""

    text: str
    tokens: int
    finish_reason: Literal["length", "stop"]  # length: a caption has the maximum length


def decode_image(text: str) -> bytes:
    """Return the bytes of an image in base64 or in a data URI; raise an `HTTPException` for anything else."""
    scheme, separator, rest = text.partition(":")
    if separator:
        kind, _, text = rest.partition(",")
        if scheme.lower() != "data" or not kind.lower().endswith(";base64"):
            raise HTTPException(400, "no URL is fetched: send the image as data:image/jpeg;base64,…")
    try:
        return base64.b64decode("".join(text.split()), validate=True)  # base64 photo.jpg breaks lines
    except (binascii.Error, ValueError) as error:
        raise HTTPException(400, f"an image is not base64: {error}") from error


def options_from(
    max_tokens: int | None, longest: int, *, seed: int | None, top_p: float | None, **others: Any
) -> dict[str, Any]:
    """Return decoding options; `max_tokens` shortens captions to less than `longest` words and never lengthens them.

    Any `seed` is allowed in these dialects, and 0 as `top_p`, which leaves the most probable word.
    """
    options = {
        **others,
        "seed": None if seed is None else abs(seed),
        "top_p": None if top_p is None else max(top_p, _TINY),
    }
    if max_tokens is not None and 0 < max_tokens < longest:
        options |= {"max_length": max_tokens, "min_length": 0}
    return {name: value for name, value in options.items() if value is not None}


def answers(images: Sequence[ImageResult], count: int, longest: int) -> list[Answer]:
    """Return `count` answers, the best first; raise an `HTTPException` if an image could not be captioned."""
    for number, image in enumerate(images, 1):
        if image.error:
            raise HTTPException(400, f"image {number}: {image.error}" if len(images) > 1 else image.error)
    rows = [[image.captions[min(row, len(image.captions) - 1)] for image in images] for row in range(count)]
    return [
        Answer(
            "\n".join(caption.text for caption in row),
            sum(len(caption.tokens) for caption in row),
            "length" if any(len(caption.tokens) >= longest for caption in row) else "stop",
        )
        for row in rows
    ]
