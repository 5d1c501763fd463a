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
    """Statistics of a data set.

    Attributes
    ----------
    images, captions : dict of str to int
        Counts by split, without empty splits.
    references : dict of int to int
        Number of images by their number of captions.
    lengths : dict of int to int
        Number of captions by their number of words.
    words : dict of str to int
        Number of occurrences of each word, the most frequent first.
    """

    images: dict[str, int]
    captions: dict[str, int]
    references: dict[int, int]
    lengths: dict[int, int]
    words: dict[str, int]


def summarise(dataset: Dataset) -> Summary:
    """Count images, captions and words."""
    images, captions, lengths, words = Counter[str](), Counter[str](), Counter[int](), Counter[str]()
    for record in dataset.records:
        images[record.split] += 1
        captions[record.split] += len(record.references)
        for caption in record.references:
            tokens = tokenize(caption)
            lengths[len(tokens)] += 1
            words.update(tokens)
    return Summary(
        {split: images[split] for split in SPLITS if images[split]},
        {split: captions[split] for split in SPLITS if images[split]},
        dict(sorted(Counter(len(record.references) for record in dataset.records).items())),
        dict(sorted(lengths.items())),
        dict(words.most_common()),
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
