"""Captions in the XMP metadata of images, which catalogues, browsers and screen readers show.

The caption is the description (``dc:description``) and alt text (``Iptc4xmpCore:AltTextAccessibility``). A JPEG or PNG
holds its XMP itself; the XMP of any other image is a sidecar file ``NAME.xmp``. All other bytes of the image are kept.
"""

from __future__ import annotations

import re
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from looksay.atomic_files import replacing
from looksay.errors import ImageError

_NAMESPACES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
}
_RDF, _DC, _IPTC = (
    f"{{{_NAMESPACES[prefix]}}}" for prefix in ("rdf", "dc", "Iptc4xmpCore")
)  # as ElementTree qualifies names
_PROPERTIES = (f"{_DC}description", f"{_IPTC}AltTextAccessibility")
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_EMPTY = (
    f'<x:xmpmeta xmlns:x="{_NAMESPACES["x"]}"><rdf:RDF xmlns:rdf="{_NAMESPACES["rdf"]}">'
    '<rdf:Description rdf:about=""/></rdf:RDF></x:xmpmeta>'
)
_PACKET = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n{}\n<?xpacket end="w"?>'

_JPEG, _JPEG_XMP = b"\xff\xd8", b"http://ns.adobe.com/xap/1.0/\0"
_PNG, _PNG_XMP = b"\x89PNG\r\n\x1a\n", b"XML:com.adobe.xmp\0"


class Part(NamedTuple):
    """A segment of a JPEG or a chunk of a PNG: its first byte, the byte after it, and its XMP packet if it has one."""

    start: int
    end: int
    xmp: bytes | None


def target(image: Path) -> Path:
    """Return the file that holds the XMP of an image: a JPEG or PNG itself, or the sidecar file of any other."""
    try:
        with image.open("rb") as file:
            signature = file.read(len(_PNG))
    except (OSError, ValueError):  # ValueError: a null character in the name
        signature = b""
    return image if signature.startswith(_JPEG) or signature == _PNG else image.with_suffix(".xmp")


def write(image: Path, text: str, *, overwrite: bool = False) -> bool:
    """Write a caption into the XMP of an image, replacing the file in one step.

    Returns False if an existing description or alt text is kept. Raises `ImageError` if the parts of the file or its
    XMP cannot be parsed, and `OSError` if the file cannot be read or written.
    """
    file = target(image)
    if file == image:
        file = file.resolve()  # a symbolic link is kept
    data = file.read_bytes() if file.exists() else None
    try:
        new_data = _new_data(data, text, is_sidecar=file.suffix == ".xmp", overwrite=overwrite)
    except (ValueError, IndexError, struct.error, ElementTree.ParseError, RecursionError) as error:
        raise ImageError(f"{image}: cannot write a caption into it: {error}") from error
    if new_data is None:
        return False
    with replacing(file, durable=True) as new:
        new.write_bytes(new_data)
        if data is not None:
            shutil.copymode(file, new)
    return True


def _new_data(data: bytes | None, text: str, *, is_sidecar: bool, overwrite: bool) -> bytes | None:
    """Return the file with a packet in place of its own one, or after its first part."""
    if data is None or is_sidecar:
        return _packet(data, text, overwrite=overwrite)
    read, wrap = (_jpeg_segments, _jpeg_segment) if data.startswith(_JPEG) else (_png_chunks, _png_chunk)
    parts = list(read(data))
    part = next((part for part in parts if part.xmp is not None), Part(parts[0].end, parts[0].end, None))
    packet = _packet(part.xmp, text, overwrite=overwrite)
    return packet and data[: part.start] + wrap(packet) + data[part.end :]


def _packet(existing: bytes | None, text: str, *, overwrite: bool) -> bytes | None:
    """Return a packet with the content of the existing one and both properties; None if a property is to be kept."""
    source = existing.decode("utf-8").strip("\0 \n\ufeff") if existing else _EMPTY
    if "<!DOCTYPE" in source or "<!ENTITY" in source:
        raise ValueError("its XMP defines entities")
    for prefix, uri in (dict(re.findall(r'xmlns:([\w.-]+)\s*=\s*["\']([^"\']+)', source)) | _NAMESPACES).items():
        if not re.fullmatch(r"ns\d+", prefix):  # reserved by ElementTree
            ElementTree.register_namespace(prefix, uri)
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))  # noqa: S314 (no entities)
    parser.feed(re.sub(r"<\?xpacket.*?\?>", "", source).strip())
    root = parser.close()
    descriptions = list(root.iter(f"{_RDF}Description"))
    if not descriptions:
        raise ValueError("its XMP has no rdf:Description")
    for name in _PROPERTIES:
        for description in descriptions:  # a property is an element, or an attribute in the abbreviated form
            elements = description.findall(name)
            values = [description.get(name, ""), *("".join(element.itertext()) for element in elements)]
            if not overwrite and any(value.strip() for value in values):
                return None
            description.attrib.pop(name, None)
            for element in elements:
                description.remove(element)
        alternatives = ElementTree.SubElement(ElementTree.SubElement(descriptions[0], name), f"{_RDF}Alt")
        ElementTree.SubElement(alternatives, f"{_RDF}li", {_LANGUAGE: "x-default"}).text = text
    return _PACKET.format(ElementTree.tostring(root, encoding="unicode")).encode()


def _jpeg_segments(data: bytes) -> Iterator[Part]:
    """Yield the segments before the scan; the first one is the JFIF or Exif header, or empty if there is none."""
    start, is_first = 2, True
    while True:
        if data[start] != 0xFF:
            raise ValueError("it has data between its segments")
        while data[start + 1] == 0xFF:  # fill bytes
            start += 1
        marker = data[start + 1]
        if marker == 0xDA:  # start of scan
            return
        end = start + 2 + struct.unpack_from(">H", data, start + 2)[0]
        body = data[start + 4 : end]
        is_xmp = marker == 0xE1 and body.startswith(_JPEG_XMP)
        if is_first and (is_xmp or marker not in (0xE0, 0xE1)):
            yield Part(2, 2, None)
        is_first = False
        yield Part(start, end, body[len(_JPEG_XMP) :] if is_xmp else None)
        start = end


def _jpeg_segment(packet: bytes) -> bytes:
    body = _JPEG_XMP + packet
    if len(body) > 0xFFFF - 2:
        raise ValueError("its XMP would not fit into a JPEG segment")
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def _png_chunks(data: bytes) -> Iterator[Part]:
    """Yield the chunks; the first one is the header."""
    start = len(_PNG)
    while start < len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        body = data[start + 8 : start + 8 + length]
        packet = None
        if kind == b"iTXt" and body.startswith(_PNG_XMP):
            if body[len(_PNG_XMP)]:
                raise ValueError("its XMP is compressed")
            # Two flags, the language and the translated keyword come before the text.
            packet = body[len(_PNG_XMP) + 2 :].split(b"\0", 2)[2]
        yield Part(start, start + 12 + length, packet)
        start += 12 + length


def _png_chunk(packet: bytes) -> bytes:
    body = b"iTXt" + _PNG_XMP + b"\0\0\0\0" + packet
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
