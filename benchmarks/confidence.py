"""Whether a caption's confidence tells right captions from wrong ones: AUROC, precision by coverage, non-photos.

python benchmarks/confidence.py --data everyday=EVERYDAY --data flickr8k=DATA [--plot FILE]

``caption_grades.csv`` has grades of captions of val images, by a vision-language model that looked at each photo: 0
wrong, 1 something right, 2 what a person would accept. A caption that the model no longer generates is left out and
counted. The fifty non-photos are drawn here: documents, charts, screens, patterns, noise and blank frames.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from timing import parser, print_row

import looksay

GRADES = Path(__file__).parent / "caption_grades.csv"
ACCEPTED = 2
SIZE = 320
VARIANTS = 5
TEXT = (
    "Invoice 2041 Due on receipt Dear customer thank you for your order Total 318.20 including tax Terms and "
    "conditions apply to all deliveries Settings Account Privacy Notifications Save Cancel"
).split()


def non_photos() -> Iterator[tuple[str, Image.Image]]:
    """Yield the name and the pixels of each non-photo; the same ones in every run."""
    for variant in range(VARIANTS):
        rng = np.random.default_rng(variant)
        colour = tuple(int(value) for value in rng.integers(256, size=3))
        grey = int(255 * variant / (VARIANTS - 1))
        yield "blank", Image.new("RGB", (SIZE, SIZE), (grey, grey, grey))
        yield "plain colour", Image.new("RGB", (SIZE, SIZE), colour)
        yield "noise", Image.fromarray(rng.integers(256, size=(SIZE, SIZE, 3), dtype=np.uint8))
        coarse = Image.fromarray(rng.integers(256, size=(8, 8, 3), dtype=np.uint8))
        yield "gradient", coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        yield "checkerboard", _checkerboard(8 * (variant + 1), colour)
        yield "document", _lines(rng, SIZE // 40 + 12, "white", "black")
        yield "code on a screen", _lines(rng, 14, (30, 30, 40), (120, 220, 140))
        yield "bar chart", _chart(rng, colour)
        yield "dialogue", _dialogue(rng, colour)
        yield "scribble", _scribble(rng, colour)


def _canvas(background: object) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (SIZE, SIZE), background)  # type: ignore[arg-type]
    return image, ImageDraw.Draw(image)


def _checkerboard(cell: int, colour: tuple[int, ...]) -> Image.Image:
    rows, columns = np.indices((SIZE, SIZE)) // cell
    pixels = np.where(((rows + columns) % 2)[..., None] == 1, np.array(colour), 255)
    return Image.fromarray(pixels.astype(np.uint8))


def _lines(rng: np.random.Generator, lines: int, background: object, ink: object) -> Image.Image:
    image, draw = _canvas(background)
    for line in range(lines):
        words = " ".join(rng.choice(TEXT, size=int(rng.integers(2, 8))))
        draw.text((16 + 8 * int(rng.integers(3)), 12 + line * (SIZE - 20) // lines), words, fill=ink)  # type: ignore[arg-type]
    return image


def _chart(rng: np.random.Generator, colour: tuple[int, ...]) -> Image.Image:
    image, draw = _canvas("white")
    draw.line([(30, 20), (30, 290), (300, 290)], fill="black", width=2)
    for place, height in enumerate(rng.integers(20, 250, size=6).tolist()):
        draw.rectangle([45 + 42 * place, 290 - height, 75 + 42 * place, 290], fill=colour)
    return image


def _dialogue(rng: np.random.Generator, colour: tuple[int, ...]) -> Image.Image:
    image, draw = _canvas((235, 235, 238))
    draw.rectangle([0, 0, SIZE, 28], fill=colour)
    draw.rounded_rectangle([40, 90, 280, 230], 8, fill="white", outline="grey")
    for row in range(4):
        draw.text((56, 104 + 18 * row), " ".join(rng.choice(TEXT, size=5)), fill="black")
    draw.rounded_rectangle([190, 196, 264, 220], 6, fill=colour)
    return image


def _scribble(rng: np.random.Generator, colour: tuple[int, ...]) -> Image.Image:
    image, draw = _canvas("white")
    points = [tuple(point) for point in rng.integers(20, 300, size=(12, 2)).tolist()]
    draw.line(points, fill=colour, width=3, joint="curve")
    return image.filter(ImageFilter.SMOOTH)


def auroc(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """Return the probability that an accepted caption has a higher confidence than another one, 0 to 1."""
    differences = scores[labels][:, None] - scores[~labels][None]
    return float(np.mean((differences > 0) + 0.5 * (differences == 0)))


def precision_by_coverage(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the share of accepted captions among the 1, 2, … most trusted ones."""
    accepted: NDArray[np.float64] = np.cumsum(labels[np.argsort(-scores)]) / np.arange(1, len(labels) + 1)
    return accepted


def main() -> None:
    """Print rows for ``RESULTS.md``."""
    options = parser(__doc__)
    options.add_argument("--data", action="append", required=True, metavar="NAME=FOLDER")
    options.add_argument("--model", default="default")
    options.add_argument("--threshold", type=float, default=0.5, help="confidence from which a caption is used")
    options.add_argument("--plot", type=Path, help="PNG of precision by coverage")
    arguments = options.parse_args()
    folders = dict(item.split("=", 1) for item in arguments.data)
    captioner = looksay.load(arguments.model)
    with GRADES.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["data"] in folders]
    captions = captioner.captions(Path(folders[row["data"]]) / row["image"] for row in rows)
    graded = [
        (caption.confidence, int(row["grade"]) >= ACCEPTED)
        for row, caption in zip(rows, captions, strict=True)
        if isinstance(caption, looksay.Caption) and caption.text == row["caption"]
    ]
    scores, labels = (np.array(column) for column in zip(*graded, strict=True))
    precision = precision_by_coverage(scores, labels)
    used = scores >= arguments.threshold
    print_row(
        graded=f"{len(graded)} of {len(rows)}",
        accepted=float(labels.mean()),
        auroc=auroc(scores, labels),
        precision_at_half_coverage=float(precision[len(precision) // 2 - 1]),
        threshold=arguments.threshold,
        coverage=float(used.mean()),
        precision=float(labels[used].mean()),
    )
    drawn = list(non_photos())
    outcomes = captioner.outcomes((image for _, image in drawn), min_confidence=arguments.threshold)
    passed = [name for (name, _), outcome in zip(drawn, outcomes, strict=True) if isinstance(outcome, list)]
    print_row(non_photos=len(drawn), passed=len(passed), kinds=sorted(set(passed)))
    if arguments.plot:
        plot(precision, arguments.plot)


def plot(precision: NDArray[np.float64], file: Path) -> None:
    """Draw precision by coverage."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(100 * np.arange(1, len(precision) + 1) / len(precision), 100 * precision)
    axes.set(xlabel="captions used, the most confident first, %", ylabel="accepted, %", ylim=(0, 100))
    figure.savefig(file, dpi=150)


if __name__ == "__main__":
    main()
