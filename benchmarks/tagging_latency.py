"""The cost of tags: milliseconds per photo, one at a time, from the file to the caption, with and without tags.

python benchmarks/tagging_latency.py DATA... [--model default] [--against BUNDLE] [--images 130] [--rounds 3]

The first images of each data set's val split are captioned, or of the whole data set if it has no val split.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from statistics import mean, median

from timing import held_out_records, parser, print_row, seconds_in_turns

import looksay


def main() -> None:
    """Print a row for each data set and variant, then the means over the data sets."""
    arguments = parser(__doc__)
    arguments.add_argument("data", type=Path, nargs="+")
    arguments.add_argument("--model", default="default")
    arguments.add_argument("--against", help="another model to compare with")
    arguments.add_argument("--images", type=int, default=130)
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    captioner = looksay.load(options.model)
    variants = {"tags on": partial(captioner, tags=True), "tags off": partial(captioner, tags=False)}
    if options.against:
        variants[Path(options.against).name] = partial(looksay.load(options.against), tags=True)
    means: dict[str, list[float]] = {name: [] for name in variants}
    for folder in options.data:
        seconds: dict[str, list[float]] = {name: [] for name in variants}
        for record in held_out_records(folder)[: options.images] * options.rounds:
            works = {name: partial(variant, record.image) for name, variant in variants.items()}
            for name, times in seconds_in_turns(works, rounds=1, warm_up=0).items():
                seconds[name] += times
        for name, times in seconds.items():
            means[name].append(1000 * mean(times))
            print_row(data=folder.name, variant=name, mean_ms=means[name][-1], median_ms=1000 * median(times))
    *_, last = means
    for name, values in means.items():
        print_row(data="mean", variant=name, mean_ms=mean(values), ratio_to_last=mean(values) / mean(means[last]))


if __name__ == "__main__":
    main()
