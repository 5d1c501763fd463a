"""``looksay bench``: measure the speed of a model on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from looksay.cli.caption_io import plural, warn
from looksay.cli.options import decoding_options, decoding_overrides, device_option, model_option
from looksay.types import Device

if TYPE_CHECKING:
    from looksay.images import ImageSource

_MAX_IMAGES = 100
_PERCENTILES = (50, 90, 99)
_SIZE = (500, 375)  # width and height of the drawn image


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATHS...]")
@model_option
@device_option
@click.option(
    "--threads", type=click.IntRange(min=1), multiple=True, show_default="1, all cores",
    help="CPU threads; repeat it to compare.",
)  # fmt: skip
@click.option(
    "--batch", "batches", type=click.IntRange(min=1), multiple=True, default=(1, 4, 16, 64), show_default=True,
    help="Images captioned together; repeat it to compare.",
)  # fmt: skip
@click.option(
    "--seconds", type=click.FloatRange(min=0.1), default=3.0, show_default=True, help="Duration of each measurement."
)
@decoding_options
def bench(
    paths: Sequence[str], models: Sequence[str], device: Device, threads: Sequence[int], batches: Sequence[int],
    seconds: float, **options: Any,
) -> None:  # fmt: skip
    """Measure how fast a model captions on this machine.

    PATHS are images, folders or globs, of which the first 100 images are captioned repeatedly. Without PATHS a drawn
    image of 500 x 375 pixels is captioned.

    \b
    looksay bench
    looksay bench holiday/ --model my-captioner --num-beams 5
    looksay bench --device cuda --batch 64 --batch 256
    """
    import numpy as np

    from looksay.captioner import load
    from looksay.evaluation import benchmark
    from looksay.runtime.onnx_model import available_cores

    sources, cores = _read_sources(paths), available_cores()
    overrides, captioner = decoding_overrides(options), load(*models, device=device)
    decoding = captioner.options(overrides)
    model = f"{captioner.name} on {device}, {plural(cores, 'core')}"
    click.echo(f"{model}; {plural(len(sources), 'image')}, {plural(decoding.num_beams, 'beam')}")

    times, words = benchmark.latency(captioner, sources, decoding, seconds)
    percentiles = "".join(f"{f'p{percent}':>9}" for percent in _PERCENTILES)
    click.echo(f"\none image, ms  {percentiles}   ({len(times)} times, {words:.1f} words a caption)")
    for name, row in zip(("whole", *benchmark.PARTS), (times.sum(axis=1), *times.T), strict=True):
        indented = name if name == "whole" else f"  {name}"
        click.echo(f"{indented:17}" + "".join(f"{1000 * time:9.1f}" for time in np.percentile(row, _PERCENTILES)))

    rates: dict[tuple[int, int], float] = {}
    click.echo("\nimages a second" + "".join(f"{f'batch {batch}':>12}" for batch in batches))
    for count in threads or sorted({1, cores}):
        captioner = load(*models, threads=count, device=device)
        rates |= {
            (count, batch): benchmark.throughput(captioner, sources, batch, overrides, seconds) for batch in batches
        }
        click.echo(f"{plural(count, 'thread'):17}" + "".join(f"{rates[count, batch]:12.1f}" for batch in batches))
    if memory := benchmark.peak_memory():
        click.echo(f"\nmemory           {memory:9.0f} MB at most, all of the above in one process")
    (count, batch), best = max(rates.items(), key=lambda item: item[1])
    click.echo(
        f"\nBest: {best:.1f} images a second, with {plural(count, 'thread')} and batches of {batch}. "
        f"A million images take {1e6 / best / 3600:.1f} hours."
    )


def _read_sources(paths: Sequence[str]) -> list[ImageSource]:
    """Return the readable images as bytes in memory, so that the disk is not measured."""
    import io
    from itertools import islice

    from PIL import Image

    from looksay import image_files, images
    from looksay.errors import ImageError

    if not paths:
        drawn = io.BytesIO()
        Image.effect_mandelbrot(_SIZE, (-2.0, -1.2, 1.0, 1.2), 100).convert("RGB").save(drawn, "JPEG")
        return [drawn.getvalue()]
    sources: list[ImageSource] = []
    for path in islice(image_files.find(paths), _MAX_IMAGES):
        try:
            images.read(path)
            sources.append(path.read_bytes())
        except ImageError as error:
            warn(error)
    if not sources:
        raise click.UsageError(f"no image in {', '.join(paths)} can be read")
    return sources
