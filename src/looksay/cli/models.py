"""``looksay models``: list, download and upload models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import click

from looksay.cli.caption_io import warn


@click.group()
def models() -> None:
    """List, inspect, download and upload models.

    \b
    looksay models list
    looksay models info default
    looksay models pull someone/captions my-captioner
    looksay models push my-captioner me/captions
    """


@models.command("list")
def list_() -> None:
    """List the models that ship with looksay."""
    from looksay.runtime import hub
    from looksay.runtime.bundle import Bundle

    for name, folder in hub.shipped().items():
        spec = Bundle.open(folder).spec
        click.echo(f"{name}\t{spec.name}: {spec.encoder}, {spec.decoder}; {_megabytes(folder):.0f} MB")


@models.command()
@click.argument("model")
def info(model: str) -> None:
    """Print the model.json of a shipped model, a model folder or a hub id."""
    from looksay.runtime import hub
    from looksay.runtime.bundle import Bundle

    folder = hub.locate(model)
    bundle = Bundle.open(folder)
    facts = bundle.spec.to_json() | {"words": len(bundle.vocabulary)}
    click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    warn(f"{folder}, {_megabytes(folder):.1f} MB")


@models.command()
@click.argument("hub_id", metavar="OWNER/NAME")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--checkpoint", is_flag=True, help="Also download the checkpoint for fine-tuning, to FOLDER/checkpoint.")
@click.option("--dry-run", is_flag=True, help="Print what would be downloaded, and write nothing.")
def pull(hub_id: str, folder: Path | None, checkpoint: bool, dry_run: bool) -> None:
    """Download a model into FOLDER (default: NAME) and check its files.

    HF_HUB_OFFLINE=1 uses only the hub's local cache; HF_TOKEN gives access to private models.
    """
    from looksay.runtime import hub

    folder = folder or Path(hub_id.rpartition("/")[2])
    if dry_run:
        _print_sizes(hub.pull_plan(hub_id, folder, checkpoint=checkpoint))
        warn(f"would be downloaded, and written into {folder} with what the hub's cache has")
        return
    hub.pull(hub_id, folder, checkpoint=checkpoint)
    warn(f"the model is in {folder}; try: looksay PHOTO --model {folder}")


@models.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("hub_id", metavar="OWNER/NAME")
@click.option("--private", is_flag=True, help="Make a new repository private.")
@click.option("--checkpoint", "run", metavar="RUN", type=click.Path(path_type=Path),
              help="Also upload the best checkpoint of this run, so that others can fine-tune it.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print what would be uploaded, and upload nothing.")
def push(bundle: Path, hub_id: str, private: bool, run: Path | None, dry_run: bool) -> None:
    """Upload a model that looksay export made, with its card. HF_TOKEN authenticates you."""
    from looksay.runtime import hub

    files = {}
    if run:
        from looksay.training import run_loader

        files = run_loader.shared(run)
    if dry_run:
        plan = hub.push_plan(bundle, hub_id, checkpoint=files)
        _print_sizes({n: len(f) if isinstance(f, bytes) else f.stat().st_size for n, f in plan.items()})
        warn(f"would be uploaded to {hub_id.removeprefix(hub.SCHEME)}")
        return
    url = hub.push(bundle, hub_id, private=private, checkpoint=files)
    warn(f"{url}; try: looksay PHOTO --model hf://{hub_id.removeprefix(hub.SCHEME)}")


def _print_sizes(sizes: Mapping[str, int]) -> None:
    for name, size in sizes.items():
        click.echo(f"{name}\t{size / 1e6:.3f} MB")


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.iterdir()) / 1e6
