"""``looksay weights``: ImageNet weights for encoders."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def weights() -> None:
    """Convert ImageNet weights of other libraries.

    \b
    looksay weights convert vgg16_weights.h5 --encoder vgg16
    """


@weights.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--encoder", required=True, metavar="NAME",
              help="vgg16, vgg19, resnet50_v1, legacy_xception or inception_v3.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path),
              help="File to write; the default is NAME.safetensors in the current folder.")  # fmt: skip
@click.option("--image", "photos", multiple=True, type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Photo whose most probable class is printed, as a check; may be repeated.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@click.option("--dry-run", is_flag=True, help="Convert and check the weights, and write nothing.")
def convert(
    file: Path, encoder: str, output: Path | None, photos: tuple[Path, ...], overwrite: bool, dry_run: bool
) -> None:
    """Write the weights of FILE as safetensors under timm's names, for encoder.weights of a recipe.

    FILE ends in .h5 or .keras (Keras), .json (TensorFlow.js layers), .onnx, .pt, .pth or .safetensors (torch).
    """
    from looksay.atomic_files import replacing
    from looksay.errors import needs

    with needs("looksay weights", "train"):
        from safetensors.torch import save_file

        from looksay.models import weight_conversion
    output = output or Path(f"{encoder}.safetensors")
    if output.exists() and not overwrite:
        raise click.UsageError(f"{output} exists; --overwrite replaces it")
    converted = weight_conversion.convert(file, encoder)
    is_known = weight_conversion.fingerprint(converted, encoder) == weight_conversion.FINGERPRINTS.get(encoder)
    if not dry_run:
        with replacing(output) as temporary:
            save_file(converted, temporary)
    note = "the published ImageNet weights" if is_known else "not the ImageNet weights that looksay knows; fine-tuned?"
    state = "would be written" if dry_run else "written"
    advice = f"use encoder.name={encoder} encoder.weights={output}"
    click.echo(f"looksay: {output} {state}: {note}; {advice}", err=True)
    for photo in photos:
        label = weight_conversion.top_class(converted, encoder, photo)
        click.echo(f"{photo}\t{label or 'the file has no ImageNet classifier'}")
