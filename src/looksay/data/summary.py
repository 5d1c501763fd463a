"""What is in a data set, in figures."""

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
    """The figures of a data set.

    Attributes
    ----------
    images, captions : dict of str to int
        By split; splits without images are not in it.
    references : dict of int to int
        How many captions an image has, to how many images have so many.
    lengths : dict of int to int
        How many words a caption has, to how many captions have so many.
    words : dict of str to int
        How often each word occurs, the most frequent first.
    """

    images: dict[str, int]
    captions: dict[str, int]
    references: dict[int, int]
    lengths: dict[int, int]
    words: dict[str, int]


def summarise(dataset: Dataset) -> Summary:
    """Count images, captions and words."""
    images = Counter(record.split for record in dataset.records)
    captions: Counter[str] = Counter()
    lengths: Counter[int] = Counter()
    words: Counter[str] = Counter()
    for record in dataset.records:
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


def broken_images(dataset: Dataset) -> list[str]:
    """Open every image, and say what is wrong with those that cannot be read."""

    def problem(record: Record) -> str:
        try:
            images.read(record.image)
        except ImageError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor() as pool:
        found = pool.map(problem, dataset.records)
        with progress(found, len(dataset.records), "opening images") as results:
            return [each for each in results if each]
