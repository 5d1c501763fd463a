"""Writers of files for each image: its caption as text or XMP metadata, or its attention maps."""

from __future__ import annotations

import io
import os
import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from looksay.atomic_files import rewrite
from looksay.errors import ImageError, OptionError
from looksay.image_files import EXTENSIONS, HEIC_EXTENSIONS
from looksay.jobs import existing_captions, image_containers, iptc, xmp
from looksay.jobs.disk_set import DiskSet
from looksay.runtime import attention_map
from looksay.types import Caption


@dataclass(frozen=True)
class SidecarWriter(ABC):
    """Writes files for each image."""

    overwrite: bool  # whether what exists is replaced instead of kept

    @abstractmethod
    def files(self, image: Path) -> list[Path]:
        """Return the files that are written for an image, the most important one first."""

    @abstractmethod
    def contents(self, image: Path, caption: Caption) -> dict[Path, bytes]:
        """Return the new content of each file that is to be written for an image; none if what exists is kept."""

    def keeps(self, image: Path) -> bool:
        """Return whether an image already has what this writer writes, and keeps it."""
        return not self.overwrite and any(file.exists() for file in self.files(image))

    def write(self, image: Path, caption: Caption) -> bool:
        """Write the files of an image, each whole or not at all; return False if what exists is kept.

        Raises `ImageError` if the image or its metadata cannot be read, and `OSError` with the name of a file that
        cannot be written.
        """
        contents = self.contents(image, caption)
        for file, content in contents.items():
            try:
                rewrite(file, content, keep_times=file == image)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(file)) from error
        return bool(contents)


class TextWriter(SidecarWriter):
    """Writes the caption to ``NAME.txt``, or ``NAME.SUFFIX.txt`` if another image beside it has the same name."""

    def files(self, image: Path) -> list[Path]:
        """See `SidecarWriter`."""
        return [image.with_name(f"{_distinct_name(image)}.txt")]

    def contents(self, image: Path, caption: Caption) -> dict[Path, bytes]:
        """See `SidecarWriter`."""
        return {} if self.keeps(image) else {self.files(image)[0]: f"{caption.text}\n".encode()}


@dataclass(frozen=True)
class AttentionWriter(SidecarWriter):
    """Draws the attention maps of the caption to ``FOLDER/NAME.png``, or ``NAME.SUFFIX.png`` like `TextWriter`."""

    folder: Path

    def files(self, image: Path) -> list[Path]:
        """See `SidecarWriter`."""
        return [self.folder / f"{_distinct_name(image)}.png"]

    def contents(self, image: Path, caption: Caption) -> dict[Path, bytes]:
        """See `SidecarWriter`."""
        if self.keeps(image):
            return {}
        drawing = io.BytesIO()
        attention_map.draw(image, caption).save(drawing, "PNG")
        return {self.files(image)[0]: drawing.getvalue()}


@dataclass(frozen=True)
class MetadataWriter(SidecarWriter):
    """Writes the caption and keywords wherever the image has XMP metadata, and keywords into existing IPTC data.

    XMP is in a JPEG or PNG itself, and in an existing sidecar file ``NAME.SUFFIX.xmp`` (darktable, digiKam) or
    ``NAME.xmp`` (Lightroom). An image that has none of them gets ``NAME.xmp``. Existing captions are kept wherever they
    stand, and keywords are added to those that are there.
    """

    captions: bool = True
    keywords: bool = False

    def files(self, image: Path) -> list[Path]:
        """See `SidecarWriter`."""
        is_embedded, shared = image_containers.is_supported(image), image.with_suffix(".xmp")
        # photo.xmp beside photo.jpg and photo.avif is that of photo.avif, which has no other place.
        sidecars = [
            file
            for file in (image.with_name(f"{image.name}.xmp"), shared)
            if os.path.lexists(file)  # a name may be too long
            and not (file == shared and is_embedded and _has_namesake(image))
        ]
        return [image] * is_embedded + sidecars or [shared]

    def contents(self, image: Path, caption: Caption) -> dict[Path, bytes]:
        """See `SidecarWriter`."""
        text = None if not self.captions or self._keeps_caption(image) else caption.text
        words = caption.keywords if self.keywords else ()
        changed = {}
        with _readable(image):
            for file in self.files(image):
                old = file.read_bytes() if file.exists() else b""
                new = (_with_metadata if file == image else _with_properties)(old, text, words)
                if new != old:
                    changed[file] = new
        return changed

    def keeps(self, image: Path) -> bool:
        """Return whether an image has a caption and keeps it, and gets no keywords."""
        return not self.keywords and self._keeps_caption(image)

    def _keeps_caption(self, image: Path) -> bool:
        if self.overwrite:
            return False
        with _readable(image):
            files = self.files(image)
            parts = image_containers.read(image.read_bytes()) if image in files else []
            sidecars = [file for file in files if file != image and file.exists()]
            texts = (text for file in sidecars for text in xmp.captions(file.read_bytes()))
            return bool(existing_captions.find(image, parts)) or any(map(existing_captions.is_caption, texts))


def _distinct_name(image: Path) -> str:
    """Return an image's name, with its suffix only if another image beside it has the same name."""
    return image.name if _has_namesake(image) else image.stem


def _has_namesake(image: Path) -> bool:
    """Return whether another image beside it has the same name with another suffix."""
    suffixes = (EXTENSIONS | HEIC_EXTENSIONS) - {image.suffix.lower()}
    others = (image.with_suffix(form) for suffix in suffixes for form in (suffix, suffix.upper()))
    return any(map(os.path.exists, others))


@contextmanager
def _readable(image: Path) -> Iterator[None]:
    """Turn errors of broken metadata into an `ImageError` that names the image."""
    try:
        yield
    except (ValueError, LookupError, struct.error, zlib.error) as error:
        raise ImageError(f"{image}: cannot write into its metadata: {error}") from error


def _with_properties(packet: bytes, text: str | None, words: Sequence[str]) -> bytes:
    """Return an XMP packet with a caption, unless it is None, and more keywords."""
    return xmp.with_keywords(packet if text is None else xmp.with_caption(packet, text), words)


def _with_metadata(data: bytes, text: str | None, words: Sequence[str]) -> bytes:
    """Return a JPEG or PNG with them in its XMP packet; of its IPTC data, only the keywords follow."""
    for part in image_containers.read(data):
        if part.kind == "photoshop" and (new := iptc.with_keywords(part.content, words)) != part.content:
            data = image_containers.with_photoshop(data, part, new)
            break  # further segments continue the first one
    parts = image_containers.read(data)
    packet = next((part.content for part in parts if part.kind == "xmp"), b"")
    new = _with_properties(packet, text, words)
    return data if new == packet else image_containers.with_xmp(data, parts, new)


def check(writers: Sequence[SidecarWriter], images: Callable[[], Iterable[Path]]) -> None:
    """Raise `OptionError` if a file would be written for two images, or over an image."""
    if not writers:
        return
    sources = DiskSet(image.resolve() for image in images())
    for writer in writers:
        written, seen = DiskSet(), DiskSet()
        for image in images():
            if not seen.add(os.path.abspath(image)):  # noqa: PTH100 (without dots): named twice, as itself and by its folder
                continue
            for file in writer.files(image):
                if file == image and isinstance(writer, MetadataWriter):
                    continue  # it keeps the rest of the image
                if not written.add(file):
                    others = (other for other in images() if other != image and file in writer.files(other))
                    raise OptionError(f"{file} would be written for {image} and {next(others)}: rename one of them")
                if file.resolve() in sources:
                    raise OptionError(f"{file} is one of the images; name another folder")
