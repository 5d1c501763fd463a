"""How often captions mention what is in the image: F1 of mentions over twenty objects of everyday photos.

python benchmarks/object_mentions.py PATH/TO/everyday PATH/TO/coco-sample [--model default] [--tags off]

The images are those of each val split, or of the whole data set if it has no val split. The references mention an
object if any of them has one of its words: singular, plural or a synonym.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from timing import held_out_records, parser

import looksay
from looksay import Caption
from looksay.text.tokenizer import tokenize

OBJECTS = {
    words.split()[0]: words.split()
    for words in (
        "cat cats kitten kittens|horse horses pony ponies|sheep lamb lambs|cow cows cattle|elephant elephants|"
        "bear bears|zebra zebras|giraffe giraffes|bird birds|bus buses|train trains|"
        "aeroplane airplane airplanes plane planes jet jets airliner jetliner aircraft|boat boats|pizza pizzas|"
        "cake cakes|sandwich sandwiches|laptop laptops|clock clocks|umbrella umbrellas|bed beds"
    ).split("|")
}


class MentionCounts(NamedTuple):
    """Numbers of images in which captions and references mention an object."""

    both: int
    captions_only: int
    references_only: int

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0 to 1; 0 without any mention."""
        mentions = 2 * self.both + self.captions_only + self.references_only
        return 2 * self.both / mentions if mentions else 0.0


def count_mentions(
    captions: Sequence[str], references: Sequence[Sequence[str]], objects: Mapping[str, Sequence[str]]
) -> dict[str, MentionCounts]:
    """Count mentions of objects (Hendricks et al. 2016); references mention an object if any of them does.

    `objects` holds the words that mention each object.
    """
    caption_words = [set(tokenize(caption)) for caption in captions]
    reference_words = [{word for caption in image for word in tokenize(caption)} for image in references]
    counts = {}
    for name, words in objects.items():
        pairs = [
            (not own.isdisjoint(words), not human.isdisjoint(words))
            for own, human in zip(caption_words, reference_words, strict=True)
        ]
        counts[name] = MentionCounts(*(pairs.count(pair) for pair in ((True, True), (True, False), (False, True))))
    return counts


def total(counts: Mapping[str, MentionCounts]) -> MentionCounts:
    """Return the sums over all objects, for a micro-averaged F1."""
    return MentionCounts(*(sum(column) for column in zip(*counts.values(), strict=True)))


def main() -> None:
    """Print a line for each object, and F1 over all."""
    arguments = parser(__doc__)
    arguments.add_argument("data", type=Path, nargs="+")
    arguments.add_argument("--model", default="default")
    arguments.add_argument("--tags", choices=("on", "off"), default="on")
    options = arguments.parse_args()
    records = [record for folder in options.data for record in held_out_records(folder)]
    results = looksay.load(options.model).captions([r.image for r in records], tags=options.tags == "on")
    pairs = [(c.text, r.references) for c, r in zip(results, records, strict=True) if isinstance(c, Caption)]
    counts = count_mentions([text for text, _ in pairs], [references for _, references in pairs], OBJECTS)
    for name, count in counts.items():
        detail = f"both {count.both}, captions {count.captions_only}, references {count.references_only}"
        print(f"{name:<10} F1 {count.f1:.2f}: {detail}")
    f1 = [count.f1 for count in counts.values() if any(count)]
    print(f"F1 of all mentions {total(counts).f1:.3f}; mean of {len(f1)} objects {sum(f1) / len(f1):.3f}")


if __name__ == "__main__":
    main()
