"""HTML page of the images that a search found."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from looksay.atomic_files import replacing
from looksay.evaluation.thumbnails import thumbnail
from looksay.jobs.caption_search import Match

_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 76em; padding: 0 1em; }
main { display: grid; gap: 1.5em; grid-template-columns: repeat(auto-fill, minmax(15em, 1fr)); }
figure { margin: 0; min-width: 0; overflow-wrap: anywhere; } a { color: inherit; }
img, .none { width: 100%; height: 12em; object-fit: contain; border-radius: 6px; background: var(--line); }
.none { display: grid; place-items: center; } figcaption small { display: block; opacity: .72; }
"""


def write(file: Path, query: str, matches: Sequence[Match]) -> None:
    """Write a self-contained page: a thumbnail of each image, its caption, and a link to the image."""
    title = escape(f"{query}: {len(matches):,} {'image' if len(matches) == 1 else 'images'}")
    with replacing(file) as new:
        new.write_text(
            '<!doctype html><html lang="en"><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{_STYLE}</style>'
            f"<h1>{title}</h1><main>{''.join(map(_figure, matches))}</main></html>\n",
            encoding="utf-8",
        )


def _figure(match: Match) -> str:
    path, caption = Path(match.image), escape(match.caption)
    small = thumbnail(path)
    shown = f'<img src="{small.url}" alt="{caption}">' if small else '<span class="none">cannot be read</span>'
    return (
        f'<figure><a href="{escape(path.resolve().as_uri())}">{shown}</a>'
        f"<figcaption>{caption}<small>{escape(match.image)}</small></figcaption></figure>"
    )
