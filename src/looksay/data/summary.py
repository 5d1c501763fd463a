"""Statistics of a data set."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from looksay import images
from looksay.data.memmap_store import progress
from looksay.data.records import SPLITS, Dataset, Record
from looksay.errors import ImageError
from looksay.text.tokenizer import tokenize


@dataclass(frozen=True)
class Summary:
    """Statistics of a data set."""

    images: dict[str, int]  # by split, without empty splits
    captions: dict[str, int]  # by split
    references: dict[int, int]  # number of images by their number of captions
    lengths: dict[int, int]  # number of captions by their number of words
    words: dict[str, int]  # occurrences of each word in the train split, the most frequent first


def summarise(dataset: Dataset) -> Summary:
    """Count images, captions and words."""
    records = {split: dataset.split(split) for split in SPLITS if any(r.split == split for r in dataset.records)}
    lengths, words = Counter[int](), Counter[str]()
    for record in dataset.records:
        for tokens in map(tokenize, record.references):
            lengths[len(tokens)] += 1
            words.update(tokens if record.split == "train" else ())
    return Summary(
        images={split: len(members) for split, members in records.items()},
        captions={split: sum(len(record.references) for record in members) for split, members in records.items()},
        references=dict(sorted(Counter(len(record.references) for record in dataset.records).items())),
        lengths=dict(sorted(lengths.items())),
        words=dict(words.most_common()),
    )


def find_broken_images(dataset: Dataset) -> list[str]:
    """Open every image and return the errors of those that cannot be read."""

    def error_of(record: Record) -> str:
        try:
            images.read(record.image)
        except ImageError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor() as pool:
        errors = pool.map(error_of, dataset.records)
        with progress(errors, len(dataset.records), "opening images") as bar:
            return [error for error in bar if error]
