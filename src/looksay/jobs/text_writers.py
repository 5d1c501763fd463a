"""Captions as JSONL or CSV."""

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
from looksay.jobs.writers import CaptionWriter, Entry, Outcome, Provenance, Row

COLUMNS = ("image", "caption", "log_prob", "error")


def json_line(image: str, outcome: Outcome, **more: str) -> str:
    """Return a row as JSON: image, caption, log_prob and, with several captions, others; or image, error."""
    row: dict[str, Any] = {"image": image}
    if isinstance(outcome, ImageError):
        row["error"] = str(outcome)
    else:
        best, *others = ({"caption": caption.text, "log_prob": round(caption.log_prob, 4)} for caption in outcome)
        row |= best | ({"others": others} if others else {})
    is_undecodable = any("\ud800" <= character <= "\udfff" for character in image)  # a file name that is not UTF-8
    return json.dumps(row | more, ensure_ascii=is_undecodable) + "\n"


def csv_line(*values: Any) -> str:
    """Return values as a line of CSV."""
    memory = io.StringIO()
    csv.writer(memory, lineterminator="\n").writerow(values)
    return memory.getvalue()


def csv_lines(image: str, outcome: Outcome, *more: str) -> str:
    """Return a line with `COLUMNS` for each caption."""
    if isinstance(outcome, ImageError):
        return csv_line(image, "", "", str(outcome), *more)
    return "".join(csv_line(image, caption.text, round(caption.log_prob, 4), "", *more) for caption in outcome)


class _LineWriter(CaptionWriter):
    """Writes a header line, then one line a row.

    Lines are appended in one write and flushed; a last line that a crash cut short is removed when resuming.
    """

    def __init__(self, file: Path, provenance: Provenance) -> None:
        super().__init__(file, provenance)
        if file.exists() and file.stat().st_size:
            with file.open("r", encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
                header, row = lines.readline(), lines.readline()
            if self._header().startswith(header):  # also a header that was cut short
                header = self._header()
            provenance.check(self._provenance_id(header, row), file)
            self._remove_partial_rows()
        self._file = file.open("ab", buffering=0)
        if not file.stat().st_size:
            self._file.write(self._header().encode())

    @abstractmethod
    def _header(self) -> str: ...

    @abstractmethod
    def _provenance_id(self, header: str, row: str) -> str | None:
        """Return the provenance in the first two lines, None if they are not looksay's."""

    @abstractmethod
    def _parse(self, line: str) -> Entry: ...

    @abstractmethod
    def _format(self, row: Row) -> str: ...

    def _remove_partial_rows(self) -> None:
        """Cut off a last line without its end, and all other lines of the same image."""
        image_start = line_start = 0
        last_image = ""
        with self.file.open("rb") as lines:
            for number, line in enumerate(lines):
                if not line.endswith(b"\n"):
                    break
                image = self._entry(number, line).image if number else ""
                if image != last_image or not number:
                    image_start, last_image = line_start, image
                line_start += len(line)
            else:
                return
        os.truncate(self.file, image_start)

    def _entry(self, number: int, line: bytes) -> Entry:
        try:
            return self._parse(line.decode("utf-8", "surrogateescape"))
        except (ValueError, KeyError, TypeError, StopIteration) as error:
            raise JobError(
                f"{self.file}, line {number + 1}: this is not a row of looksay; remove it, or --overwrite the file"
            ) from error

    def entries(self) -> Iterator[Entry]:
        """See `CaptionWriter.entries`."""
        with self.file.open("rb") as lines:
            yield from (self._entry(number, line) for number, line in enumerate(lines) if number)

    def remove(self, images: Container[str]) -> None:
        """See `CaptionWriter.remove`; the file is replaced in one step."""
        self._file.close()
        with replacing(self.file, durable=True) as new, new.open("wb") as kept, self.file.open("rb") as lines:
            for number, line in enumerate(lines):
                if not number or self._entry(number, line).image not in images:
                    kept.write(line)
        self._file = self.file.open("ab", buffering=0)

    def _append(self, rows: Sequence[Row]) -> None:
        data = memoryview("".join(map(self._format, rows)).encode("utf-8", "surrogateescape"))
        try:
            while data:  # a single write, unless the disk is full
                data = data[self._file.write(data) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise JobError(
                f"{self.file} cannot be written: {error.strerror}; free some space and run the same command again"
            ) from error

    def close(self) -> None:
        """See `CaptionWriter`."""
        self._file.close()


class JsonlWriter(_LineWriter):
    """Writes one JSON object an image; the first one is the provenance."""

    def _header(self) -> str:
        return json.dumps(self.provenance.to_json(), ensure_ascii=False) + "\n"

    def _provenance_id(self, header: str, row: str) -> str | None:  # noqa: ARG002
        try:
            return str(json.loads(header)[MADE_BY])
        except (ValueError, KeyError, TypeError):
            return None

    def _parse(self, line: str) -> Entry:
        row = json.loads(line)
        return Entry(row["image"], row["sha256"], "error" in row)

    def _format(self, row: Row) -> str:
        return json_line(row.image, row.outcome, sha256=row.sha256)


class CsvWriter(_LineWriter):
    """Writes one line a caption, with columns for the sha256 of the image and the provenance."""

    def escape(self, path: str) -> str:
        """See `CaptionWriter.escape`: line breaks would end the row."""
        return path.replace("\r", "\\r").replace("\n", "\\n")

    def _header(self) -> str:
        return csv_line(*COLUMNS, "sha256", MADE_BY)

    def _provenance_id(self, header: str, row: str) -> str | None:
        if header != self._header():
            return None
        return next(csv.reader([row]))[-1] if row.endswith("\n") else self.provenance.id

    def _parse(self, line: str) -> Entry:
        image, _, _, error, digest, _ = next(csv.reader([line]))
        return Entry(image, digest, bool(error))

    def _format(self, row: Row) -> str:
        outcome = row.outcome
        if isinstance(outcome, ImageError):
            outcome = ImageError(self.escape(str(outcome)))
        return csv_lines(row.image, outcome, row.sha256, self.provenance.id)
