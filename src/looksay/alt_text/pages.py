"""Images without alt text in HTML and Markdown, and the edits that give them one.

HTML is parsed by the standard library, Markdown by markdown-it-py. Every other character of a page stays as it is.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import accumulate
from pathlib import Path
from urllib.parse import unquote, urlsplit

from looksay.errors import needs

HTML, MARKDOWN = (".html", ".htm", ".xhtml"), (".md", ".markdown")
MARK = ' data-alt-source="looksay"'
"""The attribute that marks an alt text as machine-made."""

_LAZY_SOURCES = ("data-src", "data-lazy-src")  # where a lazily loaded image has its file, and a placeholder in src
_ATTRIBUTE = re.compile(r"""[\s/]*([^\s=/>"']+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s>]*))?""")
_MARKDOWN_IMAGE = re.compile(
    r"""
    (?<!\\) !\[ (?P<alt>[ \t]*) \]
    (?: \(\s* (?P<url> <[^>\n]+> | [^\s()]+ (?: \([^\s()]*\) [^\s()]* )* )  # the URL may have parentheses
      | \[ (?P<label>[^\]\n]+) \] )
    """,
    re.VERBOSE,
)
_CODE_OR_COMMENT = re.compile(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)|<!--.*?-->", re.DOTALL)


@dataclass(frozen=True)
class MissingAlt:
    """An image without alt text."""

    source: str  # its URL, as the page has it
    line: int  # counted from 1
    start: int  # the characters that the alt text replaces
    end: int
    is_html: bool

    def replacement(self, alt: str, *, mark: bool) -> str:
        """Return the characters that give the image an alt text."""
        if self.is_html:
            space = " " if self.start == self.end else ""  # an attribute is added, not replaced
            return f'{space}alt="{html.escape(alt)}"{MARK if mark else ""}'
        return re.sub(r"([\[\]\\])", r"\\\1", alt)


def missing_alts(text: str, suffix: str, *, empty: bool = False) -> list[MissingAlt]:
    """Return the images of a page that lack alt text, in order.

    In HTML ``alt=""`` says that an image is decorative; with `empty` these images are returned too. Images are left out
    if they are hidden or decorative by their role, or named by ``aria-label``. In Markdown every empty alt text is
    missing; code and comments are skipped.

    Raises
    ------
    MissingExtra
        If the page is Markdown and markdown-it-py is not installed.
    """
    if suffix.lower() in HTML:
        return _HtmlImages(text, empty=empty).missing
    masked, references, urls = _markdown(text)
    images = [*_markdown_images(masked, references, urls), *_HtmlImages(masked, empty=empty).missing]
    return sorted(images, key=lambda image: image.start)


def with_alts(text: str, alts: Iterable[tuple[MissingAlt, str]], *, mark: bool) -> str:
    """Return a page with the alt texts of its images."""
    for image, alt in sorted(alts, key=lambda pair: -pair[0].start):
        text = text[: image.start] + image.replacement(alt, mark=mark) + text[image.end :]
    return text


def image_file(source: str, page: Path, root: Path) -> Path | None:
    """Return the file of an image's URL; None if it is on another site, in the page itself, or no URL.

    URLs with a leading slash start at `root`.
    """
    try:
        parts = urlsplit(source.strip())
    except ValueError:  # https://[your-domain]/logo.png
        return None
    if parts.scheme or parts.netloc or not parts.path:
        return None
    path = unquote(parts.path)
    return root / path.lstrip("/") if path.startswith("/") else page.parent / path


class _HtmlImages(HTMLParser):
    def __init__(self, text: str, *, empty: bool) -> None:
        super().__init__()
        self._empty = empty
        self._line_starts = list(accumulate((len(line) + 1 for line in text.split("\n")), initial=0))
        self.missing: list[MissingAlt] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an image without alt text."""
        names = dict(attrs)
        source = next(filter(None, map(names.get, (*_LAZY_SOURCES, "src"))), "")
        if not source or source.startswith("data:"):  # beside a file in src it is another size, often of another site
            source = names.get("data-original") or source
        if tag != "img" or not source or _is_decorative(names):
            return
        line, column = self.getpos()
        start = self._line_starts[line - 1] + column
        if "alt" not in names:
            place = start + len("<img")
            self.missing.append(MissingAlt(source, line, place, place, is_html=True))
        elif not names["alt"] and self._empty:
            attributes = _ATTRIBUTE.finditer(self.get_starttag_text() or "", len("<img"))
            match = next(attribute for attribute in attributes if attribute[1].lower() == "alt")
            self.missing.append(MissingAlt(source, line, start + match.start(1), start + match.end(), is_html=True))


def _is_decorative(names: dict[str, str | None]) -> bool:
    is_hidden = names.get("role") in ("presentation", "none") or names.get("aria-hidden") == "true"
    is_named = bool(names.get("aria-label") or names.get("aria-labelledby"))
    is_pixel = names.get("width") in ("0", "1") and names.get("height") in ("0", "1")
    return is_hidden or is_named or is_pixel


def _markdown(text: str) -> tuple[str, dict[str, str], set[str]]:
    """Return a page with its code and comments as spaces, its link references, and the URLs of images without alt."""
    with needs("Reading Markdown", "alt"):
        from markdown_it import MarkdownIt
    environment: dict[str, dict[str, dict[str, str]]] = {}
    lines = text.split("\n")
    urls = set()
    for token in MarkdownIt("commonmark").parse(text, environment):
        if token.type in ("fence", "code_block") and token.map:
            for number in range(token.map[0], min(token.map[1], len(lines))):
                lines[number] = " " * len(lines[number])
        images = (child for child in token.children or () if child.type == "image" and not child.content.strip())
        urls |= {str(child.attrs["src"]) for child in images}
    masked = _CODE_OR_COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), "\n".join(lines))
    references = {label: str(value["href"]) for label, value in environment.get("references", {}).items()}
    return masked, references, urls


def _markdown_images(masked: str, references: dict[str, str], urls: set[str]) -> Iterator[MissingAlt]:
    from markdown_it.common.normalize_url import normalizeLink
    from markdown_it.common.utils import normalizeReference

    for match in _MARKDOWN_IMAGE.finditer(masked):
        label = match["label"]
        url = references.get(normalizeReference(label), "") if label else (match["url"] or "").strip("<>")
        if url in urls or normalizeLink(url) in urls:
            line = masked.count("\n", 0, match.start()) + 1
            yield MissingAlt(url, line, match.start("alt"), match.end("alt"), is_html=False)
