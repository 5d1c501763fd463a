"""Quality, speed and size of exported bundles: ``python benchmarks/plot_designs.py FILE.png BUNDLE BUNDLE …``.

Rows and a chart. The scores of each BUNDLE come from BUNDLE.json beside it:

    looksay evaluate BUNDLE --data DATA --output BUNDLE.json

The milliseconds are those of an example photo, one at a time, from the file to the caption, measured in turns.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from timing import EXAMPLES, parser, print_row, seconds_in_turns

import looksay

PHOTO = EXAMPLES / "boats.jpg"
ROUNDS = 25
AREA = 3.0  # points squared per megabyte
LABEL = 2.2  # height of a label, in CIDEr-D


class Design(NamedTuple):
    """A bundle and what it costs and gives."""

    name: str
    cider: float  # times 100
    bleu_4: float  # times 100
    milliseconds: float
    megabytes: float


def measure(bundles: list[Path]) -> list[Design]:
    """Read the scores of bundles and time them, best CIDEr-D first."""
    works = {str(bundle): partial(looksay.load(bundle), PHOTO) for bundle in bundles}
    seconds = seconds_in_turns(works, ROUNDS)
    designs = []
    for bundle in bundles:
        scores = json.loads(bundle.with_name(f"{bundle.name}.json").read_text("utf-8"))["scores"]
        size = sum(file.stat().st_size for file in bundle.iterdir())
        cost = 1000 * median(seconds[str(bundle)])
        designs.append(Design(bundle.name, 100 * scores["CIDEr-D"], 100 * scores["BLEU-4"], cost, size / 1e6))
    return sorted(designs, key=lambda design: -design.cider)


def plot(designs: list[Design], human: float, file: Path) -> None:
    """Plot CIDEr-D against milliseconds, the area of a point as the size of its bundle, and human agreement."""
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    axes = figure.subplots()
    longest = max(design.milliseconds for design in designs)
    heights: list[tuple[float, float]] = []  # of the labels so far, with their places on the other axis
    for number, design in enumerate(designs):
        color = f"C{number % 10}"
        axes.scatter(design.milliseconds, design.cider, s=AREA * design.megabytes, color=color, alpha=0.5)
        near = [height for height, place in heights if abs(place - design.milliseconds) < longest / 4]
        height = min([design.cider, *(height - LABEL for height in near)])
        heights.append((height, design.milliseconds))
        is_left = design.milliseconds > 0.6 * longest
        place = design.milliseconds + (-1 if is_left else 1) * longest / 50
        axes.text(place, height, f"{design.name}, {design.megabytes:.0f} MB", ha="right" if is_left else "left",
                  va="center", fontsize=9)  # fmt: skip
    axes.axhline(human, color="grey", linestyle="--")
    axes.annotate("human agreement", (0, human), (6, -4), xycoords=("axes fraction", "data"), va="top", color="grey",
                  textcoords="offset points")  # fmt: skip
    axes.set(xlabel="milliseconds for a photo, two cores", ylabel="CIDEr-D, Flickr8k val, beam 3")
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    FigureCanvasAgg(figure).print_figure(file, dpi=110, format="png")


def main() -> None:
    """Print a row for each bundle and write the chart."""
    arguments = parser(__doc__)
    arguments.add_argument("file", type=Path)
    arguments.add_argument("bundles", type=Path, nargs="+")
    options = arguments.parse_args()
    designs = measure(options.bundles)
    for design in designs:
        print_row(**design._asdict())
    first = options.bundles[0]
    scores = json.loads(first.with_name(f"{first.name}.json").read_text("utf-8"))
    plot(designs, 100 * scores["human_agreement"]["CIDEr-D"], options.file)


if __name__ == "__main__":
    main()
