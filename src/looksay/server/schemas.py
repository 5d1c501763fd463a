"""Query options and response bodies of the HTTP API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, get_origin

import numpy as np
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model

from looksay.decoding.options import DecodingOptions
from looksay.option_fields import Option, declared
from looksay.server.settings import DECODING_LIMITS, MAX_WORD_LENGTH

_Word = Annotated[str, Field(max_length=MAX_WORD_LENGTH)]


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")

    attention: bool = Field(False, description="Return an attention map for each token.")


def _query_field(option: Option) -> tuple[Any, Any]:
    """Return the type and the pydantic field of a decoding option; None keeps the model's own value."""
    kind = list[_Word] if get_origin(option.type) is tuple else option.type
    bounds: dict[str, Any] = option.bounds | DECODING_LIMITS.get(option.name, {})
    return kind | None, Field(None, description=option.help, **bounds)


if TYPE_CHECKING:
    CaptionQuery = _Query
else:
    CaptionQuery = create_model(
        "CaptionQuery",
        __base__=_Query,
        __doc__="Options of a caption request.",
        **{option.name: _query_field(option) for option in declared(DecodingOptions)},
    )


def _to_lists(maps: Any) -> Any:
    return np.round(maps.astype(float), 4).tolist() if isinstance(maps, np.ndarray) else maps


_Rounded = Annotated[float, AfterValidator(lambda value: round(value, 4))]
_Maps = Annotated[list[list[list[float]]] | None, BeforeValidator(_to_lists)]


class _FromAttributes(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class TagResult(_FromAttributes):
    """An object that the encoder recognises."""

    name: str
    probability: _Rounded = Field(description="Calibrated probability that a person would mention it.")
    in_caption: bool = Field(description="Whether the caption mentions it.")


class CaptionResult(_FromAttributes):
    """A caption."""

    text: str
    tokens: list[str]
    confidence: _Rounded | None = Field(None, description="Probability that the caption is right, if known.")
    log_prob: _Rounded = Field(description="Log-probability of the tokens and <end>, natural logarithm.")
    attention: _Maps = Field(None, description="Attention maps (tokens, rows, columns); each sums to 1.")
    tags: list[TagResult] = Field([], description="Recognised objects, most probable first.")


class ImageResult(BaseModel):
    """The captions of an image, best first, or the error if it cannot be read."""

    name: str = Field(description="File name in the form; empty for a bare image.")
    width: int | None = Field(default=None, description="Pixels, after EXIF orientation.")
    height: int | None = None
    captions: list[CaptionResult] = []
    seconds: _Rounded | None = Field(default=None, description="Time from decoding the image to its captions.")
    error: str | None = None


class CaptionResponse(BaseModel):
    """The images of a request, in the order of the upload."""

    model: str
    seconds: _Rounded = Field(description="Time after the upload.")
    images: list[ImageResult]


class ModelInfo(BaseModel):
    """A model that generates captions."""

    name: str
    encoder: str
    decoder: str
    image_size: int
    grid: tuple[int, int] = Field(description="Rows and columns of an attention map.")
    vocabulary_size: int
    decoding: dict[str, Any] = Field(description="Decoding options that requests do not override.")
    licence: str
    training_data: str
    scores: dict[str, Any]


class RequestLimits(_FromAttributes):
    """Limits of a request."""

    max_bytes: int
    max_pixels: int = Field(description="Of each image.")
    max_images: int


class ModelsResponse(BaseModel):
    """The model, or the models of the ensemble, and the limits of a request."""

    models: list[ModelInfo]
    limits: RequestLimits
    object: str = Field(description="For OpenAI's clients.")
    data: list[dict[str, Any]] = Field(description="For OpenAI's clients.")


class Status(BaseModel):
    """The state of the server."""

    status: str


class ErrorResponse(BaseModel):
    """The reason why a request failed."""

    detail: str
