"""How often captions mention what is in the image: F1 of mentions over twenty objects of everyday photos.

python benchmarks/object_mentions.py --data PATH/TO/coco-sample [--split all] [--model default] [--no-tags]

The references mention an object if any of them has one of its words: singular, plural or a synonym.
"""

from __future__ import annotations

from pathlib import Path

from timing import parser

import looksay
from looksay import Caption, data
from looksay.metrics.object_mentions import count_mentions, total

OBJECTS = {
    words.split()[0]: words.split()
    for words in (
        "cat cats kitten kittens|horse horses pony ponies|sheep lamb lambs|cow cows cattle|elephant elephants|"
        "bear bears|zebra zebras|giraffe giraffes|bird birds|bus buses|train trains|"
        "aeroplane airplane airplanes plane planes jet jets airliner jetliner aircraft|boat boats|pizza pizzas|"
        "cake cakes|sandwich sandwiches|laptop laptops|clock clocks|umbrella umbrellas|bed beds"
    ).split("|")
}


def main() -> None:
    """Print a line for each object, and F1 over all."""
    arguments = parser(__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--split", default="all")
    arguments.add_argument("--model", default="default")
    arguments.add_argument("--tags", choices=("on", "off"), default="on")
    options = arguments.parse_args()
    records = data.read(options.data).split(options.split)
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
