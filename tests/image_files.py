"""JPEG and PNG files put together byte by byte, with metadata as cameras and photo managers write it."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image

XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
PNG_XMP = b"XML:com.adobe.xmp"
RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
DC = 'xmlns:dc="http://purl.org/dc/elements/1.1/"'
MINE = "My grandmother at the sea"


def jpeg(**options: object) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(file, "JPEG", **options)
    return file.getvalue()


def png(**options: object) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(file, "PNG", **options)
    return file.getvalue()


def multi_picture(**options: object) -> bytes:
    """Return a JPEG that is followed by a smaller one, which an MPF segment points to."""
    file = io.BytesIO()
    photo = Image.linear_gradient("L").convert("RGB")
    photo.save(file, "MPO", save_all=True, append_images=[photo.resize((64, 64))], **options)
    return file.getvalue()


def exif(tags: dict[int, object]) -> bytes:
    table = Image.Exif()
    table.update(tags)
    return table.tobytes()


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def first(data: bytes, *segments: bytes) -> bytes:
    """Insert segments at the beginning of a JPEG."""
    return data[:2] + b"".join(segments) + data[2:]


def before_pixels(data: bytes, *chunks: bytes) -> bytes:
    """Insert chunks into a PNG."""
    place = data.index(b"IDAT") - 4
    return data[:place] + b"".join(chunks) + data[place:]


def iptc(caption: bytes, *, utf8: bool = False) -> bytes:
    """Return an APP13 segment with a Caption-Abstract."""
    records = (
        (b"\x1c\x01\x5a\x00\x03\x1b%G" if utf8 else b"") + b"\x1c\x02\x78" + struct.pack(">H", len(caption)) + caption
    )
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records + b"\0" * (len(records) % 2)
    return segment(0xED, b"Photoshop 3.0\0" + resource)


def packet(attributes: str = "", inner: str = "", more: str = "") -> bytes:
    """Return an XMP packet with a first rdf:Description, and more of them."""
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {RDF}>'
        f'<rdf:Description rdf:about="" {DC} {attributes}>{inner}</rdf:Description>{more}</rdf:RDF></x:xmpmeta>'
    ).encode()


def described(text: str = MINE) -> bytes:
    """Return an XMP packet with a description."""
    return packet(
        inner=f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt></dc:description>'
    )
