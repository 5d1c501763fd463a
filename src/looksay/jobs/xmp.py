"""XMP packets: the captions and keywords in a packet, and the same packet with others.

A caption is written as the description (``dc:description``) and alt text (``Iptc4xmpCore:AltTextAccessibility``),
keywords as ``dc:subject``. All other bytes of a packet are kept: properties are cut out and inserted by position; the
XML is not rewritten.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from xml.parsers import expat
from xml.sax.saxutils import escape

_URI = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_RDF, _DESCRIPTION, _VALUE, _RESOURCE, _ITEM = (
    f"{_URI} {name}" for name in ("RDF", "Description", "value", "resource", "li")
)
_SUBJECT = "http://purl.org/dc/elements/1.1/ subject"
_WRITTEN = {
    "http://purl.org/dc/elements/1.1/ description": "dc:description",
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/ AltTextAccessibility": "Iptc4xmpCore:AltTextAccessibility",
}
_CAPTIONS = {*_WRITTEN, "http://ns.adobe.com/tiff/1.0/ ImageDescription", "http://ns.adobe.com/exif/1.0/ UserComment"}
_EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_URI}"><rdf:Description rdf:about=""/></rdf:RDF>'
    '</x:xmpmeta>\n<?xpacket end="w"?>'
).encode()
_READ = {*_CAPTIONS, _SUBJECT}
_ATTRIBUTE = re.compile(rb"""\s+([^\s=>]+)\s*=\s*(?:"[^"]*"|'[^']*')""")
_START_TAG = re.compile(rb"<([^\s/>]+)(?:%s)*\s*/?>" % _ATTRIBUTE.pattern)
_PADDING = re.compile(rb"\s*(?=<\?xpacket end)")


_Edit = tuple[int, int, str]
"""The start and end of what is replaced, and the text in its place."""


class _Property(NamedTuple):
    """A property that may hold the caption or keywords, and its place in the packet."""

    name: str  # URI and local name, as expat gives them
    value: str
    start: int
    end: int
    items: Sequence[str] = ()  # of its list
    list_end: int | None = None  # where further items can be inserted


class _Parser:
    """Finds the properties of the image itself; those of its regions and ingredients are nested in other properties."""

    def __init__(self, packet: bytes) -> None:
        self.packet = packet.rstrip(b"\0") if packet.strip(b"\0 \r\n\t") else _EMPTY
        self.properties: list[_Property] = []
        self.description: re.Match[bytes] | None = None  # the start tag of the first rdf:Description
        self._path: list[str] = []  # the elements that are open
        self._property: tuple[re.Match[bytes], list[str], list[str]] | None = None  # start tag, texts, items of a list
        self._list_end: int | None = None
        self._expat = expat.ParserCreate("utf-8", " ")
        self._expat.ordered_attributes = True
        self._expat.StartDoctypeDeclHandler = self._refuse
        self._expat.StartElementHandler, self._expat.EndElementHandler = self._start, self._end
        self._expat.CharacterDataHandler = self._add_text
        try:
            self._expat.Parse(self.packet, True)
        except expat.ExpatError as error:
            raise ValueError(f"its XMP is broken: {error}") from error

    @property
    def rdf(self) -> str:
        """The prefix of RDF's own elements, with its colon; raises `ValueError` without any rdf:Description."""
        if not self.description:
            raise ValueError("its XMP has no rdf:Description")
        return self.description[1].decode().removesuffix("Description")

    def inserted(self, properties: str) -> _Edit:
        """Return the edit that inserts properties into the first rdf:Description."""
        tag = self.description
        assert tag  # noqa: S101 (`rdf` has checked it)
        if tag[0].endswith(b"/>"):
            return tag.end() - 2, tag.end(), f">{properties}</{tag[1].decode()}>"
        return tag.end(), tag.end(), properties

    def _refuse(self, *_: object) -> None:
        raise ValueError("its XMP has a document type, which may define entities")

    def _start(self, element: str, attributes: list[str]) -> None:
        self._path.append(element)
        tag = _START_TAG.match(self.packet, self._expat.CurrentByteIndex)
        assert tag  # noqa: S101 (expat has found one)
        is_description = self._path[-2:] == [_RDF, _DESCRIPTION]
        if is_description:
            self.description = self.description or tag
        elif self._path[-3:-1] == [_RDF, _DESCRIPTION] and element in _READ:
            self._property, self._list_end = (tag, [], []), None
        elif self._property and element == _ITEM:
            self._property[2].append("")
        places = (place for place in _ATTRIBUTE.finditer(self.packet, *tag.span()) if not place[1].startswith(b"xmlns"))
        for name, value, place in zip(attributes[::2], attributes[1::2], places, strict=True):
            if is_description and name in _READ:  # RDF's short form
                self.properties.append(_Property(name, value, *place.span()))
            elif name in (_VALUE, _RESOURCE):
                self._add_text(value)

    def _add_text(self, text: str) -> None:
        if self._property:
            _, texts, items = self._property
            texts.append(text)
            if items and _ITEM in self._path:
                items[-1] += text

    def _end(self, element: str) -> None:
        self._path.pop()
        place = self._expat.CurrentByteIndex
        if self._property and self._path[-3:-1] == [_RDF, _DESCRIPTION] and self.packet.startswith(b"</", place):
            self._list_end = place
        if self._property and self._path[-2:] == [_RDF, _DESCRIPTION]:
            tag, texts, items = self._property
            is_empty = tag[0].endswith(b"/>")
            end = tag.end() if is_empty else self.packet.index(b">", place) + 1
            self.properties.append(_Property(element, "".join(texts), tag.start(), end, items, self._list_end))
            self._property = None


def captions(packet: bytes) -> list[str]:
    """Return the captions in a packet; some may be blank. Raises `ValueError` if it cannot be parsed."""
    return [one.value for one in _Parser(packet).properties if one.name in _CAPTIONS]


def keywords(packet: bytes) -> list[str]:
    """Return the keywords in a packet. Raises `ValueError` if it cannot be parsed."""
    return [word for one in _Parser(packet).properties if one.name == _SUBJECT for word in _keywords(one)]


def _keywords(subject: _Property) -> list[str]:
    words = (word.strip() for word in subject.items or [subject.value])
    return [word for word in words if word]


def with_caption(packet: bytes, text: str) -> bytes:
    """Return a packet, which may be empty, with a text as the description and alt text.

    Its padding is used up or extended, so that the bytes that follow it in a file need not move if possible. Raises
    `ValueError` if it cannot be parsed.
    """
    parser = _Parser(packet)
    rdf = parser.rdf
    value = f'<{rdf}Alt><{rdf}li xml:lang="x-default">{escape(text)}</{rdf}li></{rdf}Alt>'
    added = "".join(
        f'<{name} xmlns:{name.split(":")[0]}="{key.split()[0]}">{value}</{name}>' for key, name in _WRITTEN.items()
    )
    edits = [(one.start, one.end, "") for one in parser.properties if one.name in _WRITTEN]
    return _edited(packet, parser, [*edits, parser.inserted(added)])


def with_keywords(packet: bytes, words: Iterable[str]) -> bytes:
    """Return a packet, which may be empty, with more keywords; see `with_caption`.

    Those that it has, in small or capital letters, are kept and are not added again.
    """
    parser = _Parser(packet)
    subject = next((one for one in parser.properties if one.name == _SUBJECT), None)
    known = {word.casefold() for word in keywords(packet)}
    new = [word for word in dict.fromkeys(words) if word.casefold() not in known]
    if not new:
        return packet
    rdf = parser.rdf
    if subject and subject.items and subject.list_end is not None:
        items = "".join(f"<{rdf}li>{escape(word)}</{rdf}li>" for word in new)
        return _edited(packet, parser, [(subject.list_end, subject.list_end, items)])
    old = _keywords(subject) if subject else []  # not a list, or an empty one
    items = "".join(f"<{rdf}li>{escape(word)}</{rdf}li>" for word in [*old, *new])
    added = f'<dc:subject xmlns:dc="{_SUBJECT.split(maxsplit=1)[0]}"><{rdf}Bag>{items}</{rdf}Bag></dc:subject>'
    edits = [(subject.start, subject.end, "")] if subject else []
    return _edited(packet, parser, [*edits, parser.inserted(added)])


def _edited(packet: bytes, parser: _Parser, edits: Iterable[_Edit]) -> bytes:
    """Return a packet with places replaced by texts, and of the same length if its padding allows it."""
    new = parser.packet
    for start, end, text in sorted(edits, reverse=True):
        new = new[:start] + text.encode() + new[end:]
    if packet and (padding := _PADDING.search(new)):
        length = max(len(padding[0]) + len(packet) - len(new), 1)
        new = new[: padding.start()] + padding[0][:length].ljust(length) + new[padding.end() :]
    return new
