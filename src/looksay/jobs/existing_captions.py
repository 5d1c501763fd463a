"""The captions that an image already holds, wherever photo managers look for them.

The Metadata Working Group's guidelines name three places: XMP's description, IPTC's Caption-Abstract and Exif's
ImageDescription. Windows also writes XPTitle and XPComment, other programs UserComment or the text chunks of a PNG.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, IptcImagePlugin

from looksay.jobs import xmp
from looksay.jobs.image_containers import Part

_EXIF = (ExifTags.Base.ImageDescription, ExifTags.Base.XPTitle, ExifTags.Base.XPComment)
_CAPTION_ABSTRACT = (2, 120)
_CHARACTER_CODE = re.compile(r"(ASCII|UNICODE|JIS)(?=\0)")  # before the text of a UserComment
_FILLED_IN = re.compile(
    r"[A-Z ]*DIGITAL (STILL )?CAMERA|SAMSUNG( CAMERA .*)?|SONY DSC|<(Digimax|Samsung|KENOX) .*>"
    r"|(?i:exif[_ ]jpeg.*|dcim\\.*|oplus_\d+|metadata-start.*|binary comment|charset=\w+)"
    r"|(?i:screenshot|default|image description|user comments?|created (with|by) (the )?(gimp|imlib|paint).*|imagej=.*)"
    r"|hdrpl|sdr_\w+|rhdr|btf\w*|btr|cof|dav|edf|fbt\w*|frem|fshbty|mde\w*|mon|nor|oznor\w*|ptr|qrf|rbt|rpt|burst"
    r"|[{<]\W.*[}>]",
    re.DOTALL,
)
"""What cameras and programs fill in; the last lines are Huawei's modes, and JSON and XML of phones and microscopes."""


def find(image: Path, parts: Sequence[Part]) -> list[str]:
    """Return the captions in an image; `parts` are those of a JPEG or PNG, and none of another format.

    Raises `ValueError` if the XMP of a JPEG or PNG is broken.
    """
    values: list[Any] = [part.content for part in parts if part.kind == "text"]
    for part in parts:
        if part.kind == "xmp":
            values += xmp.captions(part.content)
    # Pillow raises errors of every kind on broken tables, and warns of broken entries.
    with suppress(Exception), warnings.catch_warnings(), Image.open(image) as opened:
        warnings.simplefilter("ignore")
        exif = opened.getexif()
        for part in parts:
            if part.kind == "exif":  # that of a PNG may follow the pixels, which are not read here
                exif.load(part.content)
        values += [exif.get(tag) for tag in _EXIF]
        values.append(exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment))
        if not parts:
            values += xmp.captions(opened.info.get("xmp", b""))
        values.append((IptcImagePlugin.getiptcinfo(opened) or {}).get(_CAPTION_ABSTRACT))
    return [text for text in map(_decode, values) if is_caption(text)]


def is_caption(text: str) -> bool:
    """Return whether a text is a caption: not blank, and not what a camera or program fills in."""
    return bool(text.strip()) and not _FILLED_IN.fullmatch(text.strip())


def _decode(value: object) -> str:
    """Return a text of any encoding well enough to see whether it is a caption; ASCII in UTF-16 has zero bytes."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else ""
    return _CHARACTER_CODE.sub("", text, count=1).replace("\0", "")
