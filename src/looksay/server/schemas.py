"""What is asked for, and what is answered."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from looksay.decoding.options import Overrides
from looksay.types import Caption, ModelSpec

_WORD = Annotated[str, Field(max_length=40)]


class Options(BaseModel):
    """How captions are searched for; what is left out is as the model has it."""

    model_config = ConfigDict(extra="forbid")

    beam: int | None = Field(None, ge=1, le=10, description="Captions searched in parallel; 1 is greedy.")
    num_captions: int | None = Field(None, ge=1, le=10, description="Captions answered for each image.")
    max_length: int | None = Field(None, ge=1, le=50, description="Longest caption.")
    min_length: int | None = Field(None, ge=0, le=50, description="Shortest caption.")
    length_penalty: float | None = Field(None, ge=0, le=2, description="0 favours short captions, 1 long ones.")
    no_repeat: int | None = Field(None, ge=0, le=10, description="Say no run of so many words twice; 0: no such rule.")
    no_repeat_words: bool | None = Field(None, description="Say no word twice but small ones, as articles.")
    no_dangling: bool | None = Field(None, description="End in no article, preposition or conjunction.")
    bad_words: list[_WORD] | None = Field(None, max_length=100, description="Words never to be said.")
    prefix: str | None = Field(None, max_length=200, description="How every caption begins.")
    temperature: float | None = Field(None, ge=0, le=10, description="Above 0: draw captions at random.")
    top_k: int | None = Field(None, ge=0, le=100_000, description="Draw from so many likeliest words; 0: from all.")
    top_p: float | None = Field(None, gt=0, le=1, description="Draw from the likeliest words of this probability.")
    seed: int | None = Field(None, ge=0, le=2**63 - 1, description="Of drawing; another each time if left out.")
    tags: bool | None = Field(None, description="Ask for nouns that the CNN is sure of and that the caption lacks.")
    attention: bool = Field(False, description="Also say where the model looked for each word.")

    def changes(self) -> Overrides:
        """Return the options of the search that were given."""
        given = self.model_dump(exclude={"attention"}, exclude_none=True)
        if "bad_words" in given:
            given["bad_words"] = tuple(given["bad_words"])
        return given


class Recognised(BaseModel):
    """A noun that the CNN recognises."""

    noun: str
    probability: float = Field(description="That people would mention it.")
    said: bool = Field(description="Whether the caption names it.")


class Said(BaseModel):
    """A caption."""

    text: str
    words: list[str]
    log_prob: float = Field(description="Natural log of the probability of these words and the end.")
    attention: list[list[list[float]]] | None = Field(
        None, description="Where the model looked, (words, rows, columns); each map sums to 1."
    )
    tags: list[Recognised] = Field([], description="What the CNN recognises, the likeliest first.")

    @classmethod
    def of(cls, caption: Caption) -> Said:
        """Return what is sent of a caption."""
        maps = caption.attention
        looked = None if maps is None else np.round(maps.astype(float), 4).tolist()
        tags = [
            Recognised(noun=tag.name, probability=round(tag.probability, 4), said=tag.in_caption)
            for tag in caption.tags
        ]
        log_prob = round(caption.log_prob, 4)
        return cls(text=caption.text, words=list(caption.tokens), log_prob=log_prob, attention=looked, tags=tags)


class Image(BaseModel):
    """An image's captions, the best first; or why it has none."""

    name: str = Field(description="The name of its file, as it was sent.")
    width: int | None = Field(default=None, description="In pixels, upright.")
    height: int | None = None
    captions: list[Said] = []
    seconds: float | None = Field(default=None, description="From its decoding to its captions.")
    error: str | None = None


class Answer(BaseModel):
    """The images of a request, in their order."""

    model: str
    seconds: float = Field(description="From the end of the upload.")
    images: list[Image]


class Model(BaseModel):
    """The model that captions."""

    name: str
    encoder: str
    decoder: str
    image_size: int
    grid: tuple[int, int] = Field(description="Rows and columns of an attention map.")
    vocabulary: int = Field(description="Number of words it knows.")
    search: dict[str, Any] = Field(description="Its own search options.")
    licence: str
    training_data: str
    scores: dict[str, Any]

    @classmethod
    def of(cls, spec: ModelSpec, vocabulary: int) -> Model:
        """Return what is told of a model."""
        facts = spec.to_json()
        same = {name: facts[name] for name in cls.model_fields if name in facts}
        return cls(image_size=spec.image.size, vocabulary=vocabulary, **same)


class Allowed(BaseModel):
    """How much a request may bring."""

    bytes: int
    pixels: int = Field(description="Of an image.")
    images: int


class Models(BaseModel):
    """All models that have a say (several are an ensemble), and what they may be asked."""

    models: list[Model]
    limits: Allowed


class Health(BaseModel):
    """Whether the server is well."""

    status: str


class Problem(BaseModel):
    """Why there is no answer."""

    detail: Any
