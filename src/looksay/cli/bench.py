"""``looksay bench``: how fast a model is on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from looksay.cli.decoding_options import decoding_options, decoding_overrides
from looksay.cli.model_options import device_option, model_option
from looksay.types import Device

if TYPE_CHECKING:
    from looksay.evaluation.benchmark import Latency
    from looksay.images import ImageSource

_SIZE = (500, 375)


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATHS...]")
@model_option
@device_option
@click.option("--threads", type=click.IntRange(min=1), multiple=True, help="May be given again.  [default: 1, all]")
@click.option(
    "--batch", "batches", type=click.IntRange(min=1), multiple=True, default=(1, 4, 16, 64), show_default=True,
    help="Images captioned together; may be given again.",
)  # fmt: skip
@click.option("--seconds", type=click.FloatRange(min=0.1), default=3.0, show_default=True, help="For each figure.")
@decoding_options
def bench(
    paths: Sequence[str],
    models: Sequence[str],
    device: Device,
    threads: Sequence[int],
    batches: Sequence[int],
    seconds: float,
    **options: Any,
) -> None:
    """Measure how fast a model captions on this machine.

    PATHS are images of yours, folders of them or globs: the first 100 are captioned again and again. Without PATHS a
    drawn image of 500 x 375 is.

    \b
    looksay bench
    looksay bench holiday/ --model my-captioner --num-beams 5
    looksay bench --device cuda --batch 64 --batch 256
    """
    import os

    from looksay import captioner
    from looksay.evaluation import benchmark

    sources, cores = _sources(paths), os.cpu_count() or 1
    changes = decoding_overrides(options)
    loaded = captioner.load(*models, device=device)
    chosen = loaded.options(changes)
    click.echo(
        f"{loaded.name} on {device}, {_plural(cores, 'core')}; {_plural(len(sources), 'image')}, beam {chosen.num_beams}"
    )
    _tell_latency(benchmark.latency(loaded, sources, chosen, seconds))
    rates: dict[tuple[int, int], float] = {}
    click.echo("\nimages a second" + "".join(f"{f'batch {batch}':>12}" for batch in batches))
    for count in threads or sorted({1, cores}):
        loaded = captioner.load(*models, threads=count, device=device)
        for batch in batches:
            rates[count, batch] = benchmark.throughput(loaded, sources, batch, {**changes}, seconds)
        click.echo(f"{_plural(count, 'thread'):17}" + "".join(f"{rates[count, batch]:12.1f}" for batch in batches))
    memory = benchmark.peak_memory()
    if memory:
        click.echo(f"\nmemory           {memory:9.0f} MB at most, all of the above in one process")
    (count, batch), best = max(rates.items(), key=lambda rate: rate[1])
    click.echo(
        f"\nBest: {best:.1f} images a second, with {_plural(count, 'thread')} and batches of {batch}. "
        f"A million images take {_duration(1e6 / best)}."
    )


def _sources(paths: Sequence[str]) -> list[ImageSource]:
    """Return prepare_readable images in memory, so that a slow disk is not measured."""
    import io

    from PIL import Image

    from looksay import images
    from looksay.errors import ImageError

    if not paths:
        drawn = io.BytesIO()
        Image.effect_mandelbrot(_SIZE, (-2.0, -1.2, 1.0, 1.2), 100).convert("RGB").save(drawn, "JPEG")
        return [drawn.getvalue()]
    found: list[ImageSource] = []
    for path in islice(images.find(paths), 100):
        try:
            images.read(path)
            found.append(path.read_bytes())
        except ImageError as error:
            click.echo(f"looksay: {error}", err=True)
    if not found:
        raise click.UsageError(f"no image in {', '.join(paths)} can be read")
    return found


def _tell_latency(found: Latency) -> None:
    from looksay.evaluation import benchmark

    heads = "".join(f"{f'p{percent}':>9}" for percent in benchmark.PERCENTILES)
    click.echo(f"\none image, ms  {heads}   ({found.images} times, {found.words:.1f} words a caption)")
    for name, times in {"whole": found.whole, **{f"  {part}": times for part, times in found.parts.items()}}.items():
        click.echo(f"{name:17}" + "".join(f"{1000 * each:9.1f}" for each in times))


def _plural(count: int, thing: str) -> str:
    return f"{count} {thing}{'s' if count > 1 else ''}"


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"
