"""Self-contained HTML pages of images with their captions: those that a search found, or those to review."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from looksay.atomic_files import replacing
from looksay.evaluation.thumbnails import thumbnail
from looksay.jobs.caption_search import Match
from looksay.jobs.writers import escaped

_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 76em; padding: 0 1em; }
main { display: grid; gap: 1.5em; grid-template-columns: repeat(auto-fill, minmax(15em, 1fr)); }
figure { margin: 0; min-width: 0; overflow-wrap: anywhere; } a { color: inherit; }
img, .none { width: 100%; height: 12em; object-fit: contain; border-radius: 6px; background: var(--line); }
.none { display: grid; place-items: center; } figcaption small { display: block; opacity: .72; }
"""


def write_found(file: Path, query: str, matches: Sequence[Match]) -> None:
    """Write a page of the images that a search found."""
    figures = (figure(Path(match.image), match.caption, match.image) for match in matches)
    write(file, f"{query}: {len(matches):,} {'image' if len(matches) == 1 else 'images'}", figures)


def write(file: Path, title: str, figures: Iterable[str], *, head: str = "", style: str = "", script: str = "") -> None:
    """Write a page of figures with a title; `head` is HTML above them."""
    with replacing(file) as new, new.open("w", encoding="utf-8") as page:
        page.write(
            '<!doctype html><html lang="en"><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
            f"<style>{_STYLE}{style}</style><h1>{escape(title)}</h1>{head}<main>"
        )
        page.writelines(figures)
        page.write(f"</main>{f'<script>{script}</script>' if script else ''}</html>\n")


def figure(image: Path, caption: str, name: str, shown: str = "") -> str:
    """Return HTML of a thumbnail that links to its image, of its caption, or HTML in place of it, and of its name."""
    small, text, name = thumbnail(image), escape(caption), escape(escaped(name))
    shown = shown or f'<div dir="auto">{text}</div>'
    pixels = f'<img src="{small.url}" alt="{text}">' if small else '<span class="none">cannot be read</span>'
    link = f'<a href="{escape(image.resolve().as_uri())}">{pixels}</a>'
    return f"<figure>{link}<figcaption>{shown}<small>{name}</small></figcaption></figure>"
