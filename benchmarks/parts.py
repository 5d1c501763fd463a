"""Draw where a caption's milliseconds go: ``python benchmarks/parts.py FILE.png [--model M] [--photos DIR]``.

Two bars: a photo alone with all cores, and a photo of a batch of 8 on one core.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from speed import EXAMPLES, jpegs

import looksay

PARTS = ("read: decode, shrink, normalise", "look: the encoder", "say: the decoder", "say: the search")
ROUNDS = 10


def parts(model: str, photos: list[bytes], batch: int, threads: int | None) -> dict[str, float]:
    """Return the mean milliseconds a photo of each part."""
    captioner = looksay.load(model, threads=threads)
    options, spent = captioner.options({}), Counter[str]()
    step = captioner.step

    def watched(*arguments: object) -> object:
        start = time.perf_counter()
        found = step(*arguments)  # type: ignore[arg-type]
        spent["say: the decoder"] += time.perf_counter() - start
        return found

    captioner.step = watched  # type: ignore[assignment, method-assign]
    groups = [photos[first : first + batch] for first in range(0, len(photos) - len(photos) % batch, batch)]
    for turn in range(ROUNDS + 1):
        if turn == 1:  # the first one warms up
            spent.clear()
        for group in groups:
            marks = [time.perf_counter()]
            images = [captioner.prepare(photo) for photo in group]
            marks.append(time.perf_counter())
            state = captioner.encode(images)
            marks.append(time.perf_counter())
            captioner.decode(state, options)
            marks.append(time.perf_counter())
            for name, start, end in zip((*PARTS[:2], PARTS[3]), marks, marks[1:], strict=False):
                spent[name] += end - start
    spent[PARTS[3]] -= spent[PARTS[2]]
    return {name: 1000 * spent[name] / (ROUNDS * batch * len(groups)) for name in PARTS}


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--photos", type=Path, default=EXAMPLES)
    arguments = parser.parse_args()
    photos = jpegs(arguments.photos)
    photos = (photos * 8)[: max(8, len(photos))]
    bars = {
        "alone, all cores": parts(arguments.model, photos, 1, None),
        "in a batch of 8, on one core": parts(arguments.model, photos, 8, 1),
    }
    print(json.dumps({bar: {name: round(ms, 2) for name, ms in found.items()} for bar, found in bars.items()}))
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    axes = figure.subplots()
    for place, name in enumerate(PARTS):
        widths = [found[name] for found in bars.values()]
        left = [sum(found[before] for before in PARTS[:place]) for found in bars.values()]
        drawn = axes.barh(list(bars), widths, left=left, label=name, color=f"C{place}")
        axes.bar_label(drawn, [f"{width:.1f}" for width in widths], label_type="center", color="white")
    axes.invert_yaxis()
    axes.set(xlabel="milliseconds a photo")
    axes.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.4, 1.0))
    FigureCanvasAgg(figure).print_figure(arguments.file, dpi=110, format="png")


if __name__ == "__main__":
    main()
