"""What else is written for each image: its caption beside it or inside it, or a drawing of where the model looked."""

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
    """Writes something for each image.

    Attributes
    ----------
    overwrite : bool
        Whether what is there is replaced; otherwise it stays.
    """

    overwrite: bool

    @abstractmethod
    def file(self, image: Path) -> Path:
        """Return what is written for an image."""

    @abstractmethod
    def write(self, image: Path, captions: Sequence[Caption]) -> bool:
        """Write; return False if something is there and stays.

        Raises
        ------
        ImageError
            If the image cannot be read once more.
        OSError
            If the file cannot be written.
        """

    def _stays(self, image: Path) -> bool:
        return not self.overwrite and self.file(image).exists()


class Text(SidecarWriter):
    """The best caption as ``NAME.txt``."""

    def file(self, image: Path) -> Path:
        """See `SidecarWriter`."""
        return image.with_suffix(".txt")

    def write(self, image: Path, captions: Sequence[Caption]) -> bool:
        """See `SidecarWriter`."""
        if self._stays(image):
            return False
        with replacing(self.file(image)) as new:
            new.write_text(f"{captions[0].text}\n", encoding="utf-8")
        return True


class Metadata(SidecarWriter):
    """The best caption as XMP, inside a JPEG or PNG and beside any other image."""

    def file(self, image: Path) -> Path:
        """See `SidecarWriter`."""
        return xmp.place(image)

    def write(self, image: Path, captions: Sequence[Caption]) -> bool:
        """See `SidecarWriter`: only another description stays, all else in the file does in any case."""
        return xmp.write(image, captions[0].text, overwrite=self.overwrite)


@dataclass(frozen=True)
class Drawing(SidecarWriter):
    """Where the model looked at each word of the best caption, as ``FOLDER/NAME.png``."""

    folder: Path

    def file(self, image: Path) -> Path:
        """See `SidecarWriter`."""
        return self.folder / f"{image.stem}.png"

    def write(self, image: Path, captions: Sequence[Caption]) -> bool:
        """See `SidecarWriter`."""
        if self._stays(image):
            return False
        drawn = attention_map.draw(image, captions[0])
        with replacing(self.file(image)) as new:
            drawn.save(new, "PNG")
        return True


def check(all_: Sequence[SidecarWriter], images: Callable[[], Iterable[Path]]) -> None:
    """Refuse to write one file for two images, or over an image.

    Raises
    ------
    OptionError
    """
    if not all_:
        return
    known = DiskSet(image.resolve() for image in images())
    for each in all_:
        files = DiskSet()
        for image in images():
            file = each.file(image)
            if file == image and isinstance(each, Metadata):
                continue  # which takes care of it
            if not files.add(file):
                raise OptionError(f"{file} would be written for 2 images; caption them one by one")
            if file.resolve() in known:
                raise OptionError(f"{file} is one of the images; name another folder")
        files.close()
    known.close()
