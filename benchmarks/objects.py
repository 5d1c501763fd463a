"""How often captions name what is there: F1 of mention over twenty things of everyday photos.

python benchmarks/objects.py --data PATH/TO/coco-sample [--split all] [--model default] [--tags off]

HumanAgreement name a thing if any of their captions does; so do captions, in the singular, the plural or a word for the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import looksay
from looksay import data
from looksay.metrics.object_mentions import count_mentions, total

THINGS = {
    words.split()[0]: words.split()
    for words in (
        "cat cats kitten kittens|horse horses pony ponies|sheep lamb lambs|cow cows cattle|elephant elephants|"
        "bear bears|zebra zebras|giraffe giraffes|bird birds|bus buses|train trains|"
        "aeroplane airplane airplanes plane planes jet jets airliner jetliner aircraft|boat boats|pizza pizzas|"
        "cake cakes|sandwich sandwiches|laptop laptops|clock clocks|umbrella umbrellas|bed beds"
    ).split("|")
}


def main() -> None:
    """Print a line for each thing, and F1 over all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="all")
    parser.add_argument("--model", default="default")
    parser.add_argument("--tags", choices=("on", "off"), default="on")
    chosen = parser.parse_args()
    records = data.read(chosen.data).split(chosen.split)
    captioner = looksay.load(chosen.model)
    said = [caption.text for caption in captioner.captions([r.image for r in records], tags=chosen.tags == "on")]
    counts = count_mentions(said, [record.references for record in records], THINGS)
    for name, count in counts.items():
        each = f"both {count.both}, captions {count.captions_only}, people {count.references_only}"
        print(f"{name:<10} F1 {count.f1:.2f}: {each}")
    named = [count.f1 for count in counts.values() if any(count)]
    print(f"F1 of all mentions {total(counts).f1:.3f}; mean of {len(named)} things {sum(named) / len(named):.3f}")


if __name__ == "__main__":
    main()
