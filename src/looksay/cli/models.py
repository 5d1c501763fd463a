"""``looksay models``: what models there are, and their way to the hub and back."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def models() -> None:
    """List models, look at one, fetch and share them.

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
        click.echo(f"{name}\t{spec.name}: {spec.encoder}, {spec.decoder}; {_size(folder):.0f} MB")


@models.command()
@click.argument("model")
def info(model: str) -> None:
    """Tell all that is known of a model: a shipped one, a folder or a hub id."""
    import json

    from looksay.runtime import hub
    from looksay.runtime.bundle import Bundle

    folder = hub.locate(model)
    bundle = Bundle.open(folder)
    click.echo(json.dumps(bundle.spec.to_json() | {"words": len(bundle.vocabulary)}, indent=2, ensure_ascii=False))
    click.echo(f"looksay: {folder}, {_size(folder):.1f} MB", err=True)


@models.command()
@click.argument("hub_id", metavar="OWNER/NAME")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--checkpoint", is_flag=True, help="Also what it was trained to, to train on from: FOLDER/checkpoint.")
def pull(hub_id: str, folder: Path | None, checkpoint: bool) -> None:
    """Download a model into FOLDER (by default its name here), and check every file of it.

    HF_HUB_OFFLINE=1 takes it from the hub's cache; HF_TOKEN opens private ones.
    """
    from looksay.runtime import hub

    folder = folder or Path(hub_id.rpartition("/")[2])
    hub.pull(hub_id, folder, checkpoint=checkpoint)
    click.echo(f"looksay: the model is in {folder}; try: looksay PHOTO --model {folder}", err=True)


@models.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("hub_id", metavar="OWNER/NAME")
@click.option("--private", is_flag=True, help="Of a repository that is made.")
@click.option("--checkpoint", "run", metavar="RUN", type=click.Path(path_type=Path),
              help="Also the best weights of the run that it was made of, for others to train on from.")  # fmt: skip
def push(bundle: Path, hub_id: str, private: bool, run: Path | None) -> None:
    """Upload a model that looksay export made, with its card. HF_TOKEN says who you are."""
    from looksay.runtime import hub

    files = {}
    if run:
        from looksay.training import run_loader

        files = run_loader.shared(run)
    address = hub.push(bundle, hub_id, private=private, checkpoint=files)
    click.echo(f"looksay: {address}; try: looksay PHOTO --model hf://{hub_id.removeprefix(hub.SCHEME)}", err=True)


def _size(folder: Path) -> float:
    """Return megabytes."""
    return sum(file.stat().st_size for file in folder.iterdir()) / 1e6
