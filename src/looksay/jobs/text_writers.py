"""Captions as lines of text, JSONL or CSV."""

from __future__ import annotations

import csv
import io
import json
import os
from abc import abstractmethod
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any

from looksay.atomic_files import replacing
from looksay.data.table_reader import MADE_BY
from looksay.errors import ImageError, JobError
from looksay.jobs.writers import Entry, Outcome, Output, Provenance, Row

COLUMNS = ("image", "caption", "log_prob", "error")


def as_json(image: str, outcome: Outcome, **more: str) -> str:
    """Return a row as JSON: image, caption, log_prob and, with several captions, others; or image, error."""
    row: dict[str, Any] = {"image": image}
    if isinstance(outcome, ImageError):
        row["error"] = str(outcome)
    else:
        best, *others = ({"caption": found.text, "log_prob": round(found.log_prob, 4)} for found in outcome)
        row |= best | ({"others": others} if others else {})
    undecodable = any("\ud800" <= character <= "\udfff" for character in image)  # a file name that is not UTF-8
    return json.dumps(row | more, ensure_ascii=undecodable) + "\n"


def as_csv(*values: Any) -> str:
    """Return values as a line of CSV."""
    memory = io.StringIO()
    csv.writer(memory, lineterminator="\n").writerow(values)
    return memory.getvalue()


def csv_rows(image: str, outcome: Outcome, *more: str) -> str:
    """Return a line for each caption: `COLUMNS`."""
    if isinstance(outcome, ImageError):
        return as_csv(image, "", "", str(outcome), *more)
    return "".join(as_csv(image, found.text, round(found.log_prob, 4), "", *more) for found in outcome)


class _Lines(Output):
    """A text file, one row a line after a first line that says what made them.

    A row is appended in one write; a line that a crash of the machine left half written is cut off.
    """

    def __init__(self, file: Path, maker: Provenance) -> None:
        super().__init__(file, maker)
        if file.exists() and file.stat().st_size:
            self._repair()
        self._file = file.open("ab", buffering=0)
        if not file.stat().st_size:
            self._file.write(self._head().encode())

    @abstractmethod
    def _head(self) -> str: ...

    @abstractmethod
    def _mark(self, head: str, first: str) -> str | None:
        """Return the maker of rows by the first two lines, None if they are not looksay's."""

    @abstractmethod
    def _parse(self, line: str) -> Entry:
        """Return what a line tells."""

    @abstractmethod
    def _format(self, row: Row) -> str: ...

    def _repair(self) -> None:
        """Refuse a file that is another's; cut off half a line, with all that is of the same image."""
        with self.file.open("r", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            head, first = file.readline(), file.readline()
        if not head.endswith("\n"):  # a first line that was cut short was ours if it begins like ours
            head, first = (self._head(), "") if self._head().startswith(head) else (head, "")
        self.refuse(self._mark(head, first))
        kept, whole, last = 0, 0, ""
        with self.file.open("rb") as lines:
            for number, line in enumerate(lines):
                if not line.endswith(b"\n"):
                    break
                image = self._row(number, line).image if number else ""
                if image != last or not number:
                    kept, last = whole, image
                whole += len(line)
            else:
                return
        with self.file.open("r+b") as file_:
            file_.truncate(kept)

    def _row(self, number: int, line: bytes) -> Entry:
        try:
            return self._parse(line.decode("utf-8", "surrogateescape"))
        except (ValueError, KeyError, TypeError, StopIteration) as error:
            raise JobError(
                f"{self.file}, line {number + 1}: this is no row of looksay's; remove it, or --overwrite the file"
            ) from error

    def rows(self) -> Iterator[Entry]:
        """See `Output.rows`."""
        with self.file.open("rb") as lines:
            for number, line in enumerate(lines):
                if number:
                    yield self._row(number, line)

    def drop(self, images: Container[str]) -> None:
        """See `Output.drop`; the file is replaced in one step."""
        self._file.close()
        with replacing(self.file, durable=True) as new, new.open("wb") as kept, self.file.open("rb") as lines:
            for number, line in enumerate(lines):
                if not number or self._row(number, line).image not in images:
                    kept.write(line)
        self._file = self.file.open("ab", buffering=0)

    def _append(self, rows: Sequence[Row]) -> None:
        text = memoryview("".join(map(self._format, rows)).encode("utf-8", "surrogateescape"))
        try:
            while text:  # one write, but where the disk is full
                text = text[self._file.write(text) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise JobError(
                f"{self.file} cannot be written: {error.strerror}; make space, and the same command goes on"
            ) from error

    def close(self) -> None:
        """See `Output.close`."""
        self._file.close()


class Jsonl(_Lines):
    """One JSON object an image; the first one tells the model and the search."""

    def _head(self) -> str:
        return json.dumps(self.maker.to_json(), ensure_ascii=False) + "\n"

    def _mark(self, head: str, first: str) -> str | None:  # noqa: ARG002
        try:
            mark = json.loads(head)[MADE_BY]
        except (ValueError, KeyError, TypeError):
            return None
        return str(mark)

    def _parse(self, line: str) -> Entry:
        row = json.loads(line)
        return Entry(row["image"], row["sha256"], "error" in row)

    def _format(self, row: Row) -> str:
        return as_json(row.image, row.outcome, sha256=row.sha256)


class Csv(_Lines):
    """One line a caption, with columns for the image's sha256 and for what made the caption."""

    def spell(self, path: str) -> str:
        """See `Output.spell`: a row is one line, whatever stands in a name."""
        return path.replace("\r", "\\r").replace("\n", "\\n")

    def _head(self) -> str:
        return as_csv(*COLUMNS, "sha256", MADE_BY)

    def _mark(self, head: str, first: str) -> str | None:
        if head != self._head():
            return None
        return next(csv.reader([first]))[-1] if first.endswith("\n") else self.maker.mark

    def _parse(self, line: str) -> Entry:
        image, _, _, error, digest, _ = next(csv.reader([line]))
        return Entry(image, digest, bool(error))

    def _format(self, row: Row) -> str:
        outcome = row.outcome
        if isinstance(outcome, ImageError):
            outcome = ImageError(self.spell(str(outcome)))
        return csv_rows(row.image, outcome, row.sha256, self.maker.mark)
