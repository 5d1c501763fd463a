"""Images that were found, on a page that needs no other file."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from looksay.atomic_files import replacing
from looksay.evaluation.thumbnails import thumbnail
from looksay.jobs.sqlite_writer import Found

_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 76em; padding: 0 1em; }
main { display: grid; gap: 1.5em; grid-template-columns: repeat(auto-fill, minmax(15em, 1fr)); }
figure { margin: 0; min-width: 0; overflow-wrap: anywhere; } a { color: inherit; }
img, .none { width: 100%; height: 12em; object-fit: contain; border-radius: 6px; background: var(--line); }
.none { display: grid; place-items: center; } figcaption small { display: block; opacity: .72; }
"""


def write(file: Path, query: str, found: Sequence[Found]) -> None:
    """Write the page: each image small, with its caption, and a link to the image itself."""
    title = html.escape(f"{query}: {len(found):,} images")
    with replacing(file) as new:
        new.write_text(
            '<!doctype html><html lang="en"><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{_STYLE}</style>'
            f"<h1>{title}</h1><main>{''.join(map(_figure, found))}</main></html>\n",
            encoding="utf-8",
        )


def _figure(found: Found) -> str:
    path = Path(found.image)
    small = thumbnail(path)
    caption = html.escape(found.caption)
    shown = f'<img src="{small.url}" alt="{caption}">' if small else '<span class="none">not there</span>'
    link = html.escape(path.resolve().as_uri())
    where = html.escape(found.image)
    return f'<figure><a href="{link}">{shown}</a><figcaption>{caption}<small>{where}</small></figcaption></figure>'
