"""What else is written for each picture: its caption beside it or inside it, or a drawing of where the model looked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from looksay import drawing
from looksay.data.atomic import replacing
from looksay.errors import OptionError
from looksay.jobs import metadata
from looksay.jobs.ondisk import OnDiskSet
from looksay.specs import Caption


@dataclass(frozen=True)
class Beside(ABC):
    """Writes something for each picture.

    Attributes
    ----------
    overwrite : bool
        Whether what is there is replaced; otherwise it stays.
    """

    overwrite: bool

    @abstractmethod
    def file(self, picture: Path) -> Path:
        """Return what is written for a picture."""

    @abstractmethod
    def write(self, picture: Path, captions: Sequence[Caption]) -> bool:
        """Write; return False if something is there and stays.

        Raises
        ------
        ImageError
            If the picture cannot be read once more.
        OSError
            If the file cannot be written.
        """

    def _stays(self, picture: Path) -> bool:
        return not self.overwrite and self.file(picture).exists()


class Text(Beside):
    """The best caption as ``NAME.txt``."""

    def file(self, picture: Path) -> Path:
        """See `Beside`."""
        return picture.with_suffix(".txt")

    def write(self, picture: Path, captions: Sequence[Caption]) -> bool:
        """See `Beside`."""
        if self._stays(picture):
            return False
        with replacing(self.file(picture)) as new:
            new.write_text(f"{captions[0].text}\n", encoding="utf-8")
        return True


class Metadata(Beside):
    """The best caption as XMP, inside a JPEG or PNG and beside any other picture."""

    def file(self, picture: Path) -> Path:
        """See `Beside`."""
        return metadata.place(picture)

    def write(self, picture: Path, captions: Sequence[Caption]) -> bool:
        """See `Beside`: only another description stays, all else in the file does in any case."""
        return metadata.write(picture, captions[0].text, overwrite=self.overwrite)


@dataclass(frozen=True)
class Drawing(Beside):
    """Where the model looked at each word of the best caption, as ``FOLDER/NAME.png``."""

    folder: Path

    def file(self, picture: Path) -> Path:
        """See `Beside`."""
        return self.folder / f"{picture.stem}.png"

    def write(self, picture: Path, captions: Sequence[Caption]) -> bool:
        """See `Beside`."""
        if self._stays(picture):
            return False
        drawn = drawing.attention(picture, captions[0])
        with replacing(self.file(picture)) as new:
            drawn.save(new, "PNG")
        return True


def check(all_: Sequence[Beside], pictures: Callable[[], Iterable[Path]]) -> None:
    """Refuse to write one file for two pictures, or over a picture.

    Raises
    ------
    OptionError
    """
    if not all_:
        return
    known = OnDiskSet(picture.resolve() for picture in pictures())
    for each in all_:
        files = OnDiskSet()
        for picture in pictures():
            file = each.file(picture)
            if file == picture and isinstance(each, Metadata):
                continue  # which takes care of it
            if not files.add(file):
                raise OptionError(f"{file} would be written for 2 pictures; caption them one by one")
            if file.resolve() in known:
                raise OptionError(f"{file} is one of the pictures; name another folder")
        files.close()
    known.close()
