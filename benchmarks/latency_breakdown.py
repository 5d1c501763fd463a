"""Plot the stages of a caption's latency.

``python benchmarks/latency_breakdown.py FILE.png [--model M] [--photos DIR]`` draws two bars: a photo alone on all
cores, and a photo of a batch of 8 on one core.
"""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from timing import EXAMPLES, parser, print_row, read_jpegs

import looksay

STAGES = ("image: decode, resize, normalise", "encoder", "decoder", "search")
ROUNDS = 10


def milliseconds_by_stage(model: str, photos: list[bytes], batch: int, threads: int | None) -> dict[str, float]:
    """Return the mean milliseconds per photo of each stage."""
    captioner = looksay.load(model, threads=threads)
    options, seconds = captioner.options({}), defaultdict[str, float](float)
    step = captioner.step

    def timed_step(*arguments: object) -> object:
        start = time.perf_counter()
        result = step(*arguments)  # type: ignore[arg-type]
        seconds["decoder"] += time.perf_counter() - start
        return result

    captioner.step = timed_step  # type: ignore[assignment, method-assign]
    batches = [photos[first : first + batch] for first in range(0, len(photos) - len(photos) % batch, batch)]
    for number in range(ROUNDS + 1):
        if number == 1:  # the first round is the warm-up
            seconds.clear()
        for group in batches:
            times = [time.perf_counter()]
            images = [captioner.prepare(photo) for photo in group]
            times.append(time.perf_counter())
            state = captioner.encode(images)
            times.append(time.perf_counter())
            captioner.decode(state, options)
            times.append(time.perf_counter())
            for name, start, end in zip((*STAGES[:2], "search"), times, times[1:], strict=False):
                seconds[name] += end - start
    seconds["search"] -= seconds["decoder"]
    return {name: 1000 * seconds[name] / (ROUNDS * batch * len(batches)) for name in STAGES}


def main() -> None:
    """Measure, print and plot."""
    arguments = parser(__doc__)
    arguments.add_argument("file", type=Path)
    arguments.add_argument("--model", default="default")
    arguments.add_argument("--photos", type=Path, default=EXAMPLES)
    options = arguments.parse_args()
    photos = read_jpegs(options.photos, 8)
    bars = {
        "alone, all cores": milliseconds_by_stage(options.model, photos, 1, None),
        "in a batch of 8, on one core": milliseconds_by_stage(options.model, photos, 8, 1),
    }
    for label, stages in bars.items():
        print_row(what=label, **stages)
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    axes = figure.subplots()
    for number, name in enumerate(STAGES):
        widths = [stages[name] for stages in bars.values()]
        left = [sum(stages[earlier] for earlier in STAGES[:number]) for stages in bars.values()]
        rectangles = axes.barh(list(bars), widths, left=left, label=name, color=f"C{number}")
        axes.bar_label(rectangles, [f"{width:.1f}" for width in widths], label_type="center", color="white")
    axes.invert_yaxis()
    axes.set(xlabel="milliseconds per photo")
    axes.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.4, 1.0))
    FigureCanvasAgg(figure).print_figure(options.file, dpi=110, format="png")


if __name__ == "__main__":
    main()
