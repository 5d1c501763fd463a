"""Writers of a file for each image: its caption as text or XMP metadata, or its attention maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from looksay.atomic_files import replacing
from looksay.errors import OptionError
from looksay.jobs import xmp
from looksay.jobs.disk_set import DiskSet
from looksay.runtime import attention_map
from looksay.types import Caption


@dataclass(frozen=True)
class SidecarWriter(ABC):
    """Writes a file for each image."""

    overwrite: bool  # whether existing files are replaced instead of kept

    @abstractmethod
    def file(self, image: Path) -> Path:
        """Return the file that is written for an image."""

    @abstractmethod
    def write(self, image: Path, caption: Caption) -> bool:
        """Write the file; return False if an existing one is kept.

        Raises `ImageError` if the image cannot be read again, and `OSError` if the file cannot be written.
        """


class _NewFileWriter(SidecarWriter):
    """Writes a file of its own, whole or not at all."""

    def write(self, image: Path, caption: Caption) -> bool:
        """See `SidecarWriter`."""
        file = self.file(image)
        if file.exists() and not self.overwrite:
            return False
        with replacing(file) as new:
            self._save(new, image, caption)
        return True

    @abstractmethod
    def _save(self, new: Path, image: Path, caption: Caption) -> None: ...


class TextWriter(_NewFileWriter):
    """Writes the caption to ``NAME.txt``."""

    def file(self, image: Path) -> Path:
        """See `SidecarWriter`."""
        return image.with_suffix(".txt")

    def _save(self, new: Path, image: Path, caption: Caption) -> None:  # noqa: ARG002
        new.write_text(f"{caption.text}\n", encoding="utf-8")


@dataclass(frozen=True)
class AttentionWriter(_NewFileWriter):
    """Draws the attention maps of the caption to ``FOLDER/NAME.png``."""

    folder: Path

    def file(self, image: Path) -> Path:
        """See `SidecarWriter`."""
        return self.folder / f"{image.stem}.png"

    def _save(self, new: Path, image: Path, caption: Caption) -> None:
        attention_map.draw(image, caption).save(new, "PNG")


class XmpWriter(SidecarWriter):
    """Writes the caption as XMP metadata, into a JPEG or PNG and next to any other image."""

    def file(self, image: Path) -> Path:
        """See `SidecarWriter`."""
        return xmp.target(image)

    def write(self, image: Path, caption: Caption) -> bool:
        """See `SidecarWriter`; without `overwrite` only an existing description is kept."""
        return xmp.write(image, caption.text, overwrite=self.overwrite)


def check(writers: Sequence[SidecarWriter], images: Callable[[], Iterable[Path]]) -> None:
    """Raise `OptionError` if a file would be written for two images, or over an image."""
    if not writers:
        return
    sources = DiskSet(image.resolve() for image in images())
    for writer in writers:
        files = DiskSet()
        for image in images():
            file = writer.file(image)
            if file == image and isinstance(writer, XmpWriter):
                continue  # it keeps the rest of the image
            if not files.add(file):
                raise OptionError(f"{file} would be written for 2 images; caption them in separate runs")
            if file.resolve() in sources:
                raise OptionError(f"{file} is one of the images; name another folder")
        files.close()
    sources.close()
