"""XMP packets: the captions in a packet, and the same packet with another caption.

A caption is written as the description (``dc:description``) and alt text (``Iptc4xmpCore:AltTextAccessibility``). All
other bytes of a packet are kept: properties are cut out and inserted by position; the XML is not rewritten.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from xml.parsers import expat
from xml.sax.saxutils import escape

_URI = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_RDF, _DESCRIPTION, _VALUE, _RESOURCE = (f"{_URI} {name}" for name in ("RDF", "Description", "value", "resource"))
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
_ATTRIBUTE = re.compile(rb"""\s+([^\s=>]+)\s*=\s*(?:"[^"]*"|'[^']*')""")
_START_TAG = re.compile(rb"<([^\s/>]+)(?:%s)*\s*/?>" % _ATTRIBUTE.pattern)
_PADDING = re.compile(rb"\s*(?=<\?xpacket end)")


class _Property(NamedTuple):
    """A property that may hold the caption, and its place in the packet."""

    name: str  # URI and local name, as expat gives them
    value: str
    start: int
    end: int


class _Parser:
    """Finds the properties of the image itself; those of its regions and ingredients are nested in other properties."""

    def __init__(self, packet: bytes) -> None:
        self.packet = packet.rstrip(b"\0") if packet.strip(b"\0 \r\n\t") else _EMPTY
        self.properties: list[_Property] = []
        self.description: re.Match[bytes] | None = None  # the start tag of the first rdf:Description
        self._path: list[str] = []  # the elements that are open
        self._property: tuple[re.Match[bytes], list[str]] | None = None  # start tag and texts of the one that is open
        self._expat = expat.ParserCreate("utf-8", " ")
        self._expat.ordered_attributes = True
        self._expat.StartDoctypeDeclHandler = self._refuse
        self._expat.StartElementHandler, self._expat.EndElementHandler = self._start, self._end
        self._expat.CharacterDataHandler = self._add_text
        try:
            self._expat.Parse(self.packet, True)
        except expat.ExpatError as error:
            raise ValueError(f"its XMP is broken: {error}") from error

    def _refuse(self, *_: object) -> None:
        raise ValueError("its XMP has a document type, which may define entities")

    def _start(self, element: str, attributes: list[str]) -> None:
        self._path.append(element)
        tag = _START_TAG.match(self.packet, self._expat.CurrentByteIndex)
        assert tag  # noqa: S101 (expat has found one)
        is_description = self._path[-2:] == [_RDF, _DESCRIPTION]
        if is_description:
            self.description = self.description or tag
        elif self._path[-3:-1] == [_RDF, _DESCRIPTION] and element in _CAPTIONS:
            self._property = tag, []
        places = (place for place in _ATTRIBUTE.finditer(self.packet, *tag.span()) if not place[1].startswith(b"xmlns"))
        for name, value, place in zip(attributes[::2], attributes[1::2], places, strict=True):
            if is_description and name in _CAPTIONS:  # RDF's short form
                self.properties.append(_Property(name, value, *place.span()))
            elif name in (_VALUE, _RESOURCE):
                self._add_text(value)

    def _add_text(self, text: str) -> None:
        if self._property:
            self._property[1].append(text)

    def _end(self, element: str) -> None:
        self._path.pop()
        if self._property and self._path[-2:] == [_RDF, _DESCRIPTION]:
            tag, texts = self._property
            is_empty = tag[0].endswith(b"/>")
            end = tag.end() if is_empty else self.packet.index(b">", self._expat.CurrentByteIndex) + 1
            self.properties.append(_Property(element, "".join(texts), tag.start(), end))
            self._property = None


def captions(packet: bytes) -> list[str]:
    """Return the captions in a packet; some may be blank. Raises `ValueError` if it cannot be parsed."""
    return [found.value for found in _Parser(packet).properties]


def with_caption(packet: bytes, text: str) -> bytes:
    """Return a packet, which may be empty, with a text as the description and alt text.

    Its padding is used up or extended, so that the bytes that follow it in a file need not move if possible. Raises
    `ValueError` if it cannot be parsed.
    """
    parser = _Parser(packet)
    tag = parser.description
    if not tag:
        raise ValueError("its XMP has no rdf:Description")
    rdf = tag[1].decode().removesuffix("Description")  # the prefix
    value = f'<{rdf}Alt><{rdf}li xml:lang="x-default">{escape(text)}</{rdf}li></{rdf}Alt>'
    added = "".join(
        f'<{name} xmlns:{name.split(":")[0]}="{key.split()[0]}">{value}</{name}>' for key, name in _WRITTEN.items()
    ).encode()
    edits = [(found.start, found.end, b"") for found in parser.properties if found.name in _WRITTEN]
    if tag[0].endswith(b"/>"):
        edits.append((tag.end() - 2, tag.end(), b">%s</%s>" % (added, tag[1])))
    else:
        edits.append((tag.end(), tag.end(), added))
    new = parser.packet
    for start, end, replacement in sorted(edits, reverse=True):
        new = new[:start] + replacement + new[end:]
    if packet and (padding := _PADDING.search(new)):
        length = max(len(padding[0]) + len(packet) - len(new), 1)
        new = new[: padding.start()] + padding[0][:length].ljust(length) + new[padding.end() :]
    return new
