"""A caption inside an image's file, where catalogues, browsers and screen readers look for it.

It becomes XMP's description (``dc:description``) and alt text (``Iptc4xmpCore:AltTextAccessibility``): in a JPEG or PNG
itself, beside any other image as ``NAME.xmp``. What else the file holds stays as it is, byte for byte.
"""

from __future__ import annotations

import re
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from looksay.atomic_files import replacing
from looksay.errors import ImageError

_NAMES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
}


def _tag(name: str) -> str:
    """Return ElementTree's name of ``prefix:name``."""
    prefix, local = name.split(":")
    return f"{{{_NAMES[prefix]}}}{local}"


_PROPERTIES = (_tag("dc:description"), _tag("Iptc4xmpCore:AltTextAccessibility"))
_DESCRIPTION, _ALTERNATIVES, _ITEM = map(_tag, ("rdf:Description", "rdf:Alt", "rdf:li"))
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_EMPTY = (
    f'<x:xmpmeta xmlns:x="{_NAMES["x"]}"><rdf:RDF xmlns:rdf="{_NAMES["rdf"]}"><rdf:Description rdf:about=""/>'
    "</rdf:RDF></x:xmpmeta>"
)
_PACKET = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n{}\n<?xpacket end="w"?>'

_JPEG, _JPEG_XMP = b"\xff\xd8", b"http://ns.adobe.com/xap/1.0/\0"
_PNG, _PNG_XMP = b"\x89PNG\r\n\x1a\n", b"XML:com.adobe.xmp\0"


class Part(NamedTuple):
    """A part of a file: where it begins and ends, and the XMP packet in it, if it is one."""

    start: int
    end: int
    xmp: bytes | None


def place(path: Path) -> Path:
    """Return the file that an image's caption is written to: the image itself, or one beside it."""
    try:
        with path.open("rb") as file:
            begins = file.read(len(_PNG))
    except (OSError, ValueError):  # ValueError: a name that no file can have
        begins = b""
    return path if begins.startswith(_JPEG) or begins == _PNG else path.with_suffix(".xmp")


def write(path: Path, text: str, *, overwrite: bool = False) -> bool:
    """Write a caption into an image's file, or beside it.

    The new file takes the old one's place in one step, so that a crash leaves one of the two.

    Parameters
    ----------
    path : Path
    text : str
    overwrite : bool
        Replace a description that is there.

    Returns
    -------
    bool
        Whether it was written: False where another description is there and `overwrite` is false.

    Raises
    ------
    ImageError
        If the file's parts or its XMP cannot be understood.
    OSError
        If the file cannot be read or written.
    """
    file = place(path)
    if file == path:
        file = file.resolve()  # a link to an image stays a link
    data = file.read_bytes() if file.exists() else None
    try:
        if data is None or file.suffix == ".xmp":
            made = _packet(data, text, overwrite=overwrite)
        elif data.startswith(_JPEG):
            made = _embedded(data, list(_jpeg_parts(data)), text, _jpeg_part, overwrite=overwrite)
        else:
            made = _embedded(data, list(_png_parts(data)), text, _png_part, overwrite=overwrite)
    except (ValueError, IndexError, struct.error, ElementTree.ParseError, RecursionError) as error:
        raise ImageError(f"{path}: no caption can be written into it: {error}") from error
    if made is None:
        return False
    with replacing(file, durable=True) as new:
        new.write_bytes(made)
        if data is not None:
            shutil.copymode(file, new)
    return True


def _embedded(
    data: bytes, parts: list[Part], text: str, wrap: Callable[[bytes], bytes], *, overwrite: bool
) -> bytes | None:
    """Return a file with a packet in place of its own, or after its first part."""
    own = next((part for part in parts if part.xmp is not None), None)
    packet = _packet(own.xmp if own else None, text, overwrite=overwrite)
    if packet is None:
        return None
    start, end = (own.start, own.end) if own else (parts[0].end, parts[0].end)
    return data[:start] + wrap(packet) + data[end:]


def _packet(old: bytes | None, text: str, *, overwrite: bool) -> bytes | None:
    """Return a packet with both properties and all that the old one has, None if one of them is there to stay."""
    source = old.decode("utf-8").strip("\0 \n\ufeff") if old else _EMPTY
    if "<!DOCTYPE" in source or "<!ENTITY" in source:
        raise ValueError("its XMP defines entities")
    for prefix, name in {**dict(re.findall(r'xmlns:(\w+)\s*=\s*["\']([^"\']+)', source)), **_NAMES}.items():
        if not re.fullmatch(r"ns\d+", prefix):
            ElementTree.register_namespace(prefix, name)
    root = ElementTree.fromstring(re.sub(r"<\?xpacket.*?\?>", "", source).strip())  # noqa: S314 (no entities)
    described = next(root.iter(_DESCRIPTION), None)
    if described is None:
        raise ValueError("its XMP describes nothing")
    for name in _PROPERTIES:
        for holder in list(root.iter(_DESCRIPTION)):
            for there in holder.findall(name):
                if not overwrite and "".join(there.itertext()).strip():
                    return None
                holder.remove(there)
        alternatives = ElementTree.SubElement(ElementTree.SubElement(described, name), _ALTERNATIVES)
        ElementTree.SubElement(alternatives, _ITEM, {_LANGUAGE: "x-default"}).text = text
    return _PACKET.format(ElementTree.tostring(root, encoding="unicode")).encode()


def _jpeg_parts(data: bytes) -> Iterator[Part]:
    """Yield the segments before the pixels; the first one is JFIF's or Exif's header if there is one."""
    place, first = 2, True
    while data[place] == 0xFF and data[place + 1] != 0xDA:
        marker, (length,) = data[place + 1], struct.unpack_from(">H", data, place + 2)
        body = data[place + 4 : place + 2 + length]
        if first and not (marker in (0xE0, 0xE1) and not body.startswith(_JPEG_XMP)):
            yield Part(2, 2, None)
        first = False
        xmp = body[len(_JPEG_XMP) :] if marker == 0xE1 and body.startswith(_JPEG_XMP) else None
        yield Part(place, place + 2 + length, xmp)
        place += 2 + length
    if data[place] != 0xFF:
        raise ValueError("its segments do not follow one another")


def _jpeg_part(packet: bytes) -> bytes:
    body = _JPEG_XMP + packet
    if len(body) > 0xFFFF - 2:
        raise ValueError("its XMP would be longer than a JPEG can hold")
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def _png_parts(data: bytes) -> Iterator[Part]:
    """Yield the chunks; the first one is the header."""
    place = len(_PNG)
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        body = data[place + 8 : place + 8 + length]
        xmp = None
        if kind == b"iTXt" and body.startswith(_PNG_XMP):
            if body[len(_PNG_XMP)]:
                raise ValueError("its XMP is compressed")
            xmp = body[len(_PNG_XMP) + 2 :].split(b"\0", 2)[2]  # after the flags: two names of the language
        yield Part(place, place + 12 + length, xmp)
        place += 12 + length


def _png_part(packet: bytes) -> bytes:
    body = b"iTXt" + _PNG_XMP + b"\0\0\0\0" + packet
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
