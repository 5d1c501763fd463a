"""Captions as JSONL or CSV."""

from __future__ import annotations

import csv
import io
import json
import os
from abc import abstractmethod
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from looksay.atomic_files import replacing
from looksay.data.table_reader import MADE_BY
from looksay.errors import ImageError, JobError, LowConfidence
from looksay.jobs.writers import LEFT_OUT, CaptionWriter, Entry, Outcome, Row, escaped
from looksay.types import KEYWORD_PROBABILITY, Caption

_BROKEN = (ValueError, KeyError, TypeError, AttributeError, IndexError, StopIteration, csv.Error)
"""What parsing a line raises that looksay did not write."""

COLUMNS = ("image", "caption", "confidence", "log_prob", "keywords", "error")
KEYWORD_SEPARATOR = ";"


def json_line(image: str, outcome: Outcome, **more: str) -> str:
    """Return a row as JSON: image, caption, its figures and tags and, with several captions, others; or image, error.

    A caption of low confidence is ``left_out`` in place of an error.
    """
    row: dict[str, Any] = {"image": image}
    if isinstance(outcome, ImageError):
        row["left_out" if isinstance(outcome, LowConfidence) else "error"] = str(outcome)
    else:
        best, *others = map(figures, outcome)
        tags = {tag.name: round(tag.probability, 4) for tag in outcome[0].tags}
        row |= best | {"tags": tags} | ({"others": others} if others else {})
    text = json.dumps(row | more, ensure_ascii=False)
    is_undecodable = any("\ud800" <= character <= "\udfff" for character in text)  # a file name that is not UTF-8
    return (json.dumps(row | more) if is_undecodable else text) + "\n"


def figures(caption: Caption) -> dict[str, str | float]:
    """Return a caption with its confidence, if it has one, and its log-probability."""
    known = {} if caption.confidence is None else {"confidence": round(caption.confidence, 4)}
    return {"caption": caption.text, **known, "log_prob": round(caption.log_prob, 4)}


def csv_line(*values: Any) -> str:
    """Return values as a line of CSV."""
    memory = io.StringIO()
    csv.writer(memory, lineterminator="\n").writerow(values)
    return memory.getvalue()


def csv_lines(image: str, outcome: Outcome, *more: str) -> str:
    """Return a line with `COLUMNS` for each caption; the name of the image is escaped."""
    name = escaped(image)
    if isinstance(outcome, ImageError):
        return csv_line(name, "", "", "", "", escaped(str(outcome)), *more)
    keywords = KEYWORD_SEPARATOR.join(outcome[0].keywords)
    rows = ({"keywords": keywords, **figures(caption)} for caption in outcome)
    return "".join(csv_line(name, *(row.get(key, "") for key in COLUMNS[1:-1]), "", *more) for row in rows)


class _LineWriter(CaptionWriter):
    """Writes a header line, then one line a row.

    Lines are appended in one write and flushed; a last line that a crash cut short is removed when resuming.
    """

    def _open(self) -> None:
        if self.file.exists() and self.file.stat().st_size:
            self._check()
            self._remove_partial_rows()
        self._file = self.file.open("ab", buffering=0)
        if not self.file.stat().st_size:
            self._file.write(self._header().encode())

    def _open_to_read(self) -> None:
        self._check()
        self._file = self.file.open("rb", buffering=0)

    def _check(self) -> None:
        with self.file.open("r", encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
            header, row = lines.readline(), lines.readline()
        if self._header().startswith(header):  # also a header that was cut short
            header = self._header()
        self.provenance.check(self._provenance_id(header, row), self.file)

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
        for line, entry in self._lines():
            if not line.endswith(b"\n"):
                os.truncate(self.file, image_start)
                return
            if entry is None or entry.image != last_image:
                image_start, last_image = line_start, entry.image if entry else ""
            line_start += len(line)

    def _lines(self) -> Iterator[tuple[bytes, Entry | None]]:
        """Yield the lines with their entries, which the header and a line without its end do not have."""
        with self.file.open("rb") as lines:
            for number, line in enumerate(lines):
                try:
                    is_row = number and line.endswith(b"\n")
                    yield line, self._parse(line.decode("utf-8", "surrogateescape")) if is_row else None
                except _BROKEN as error:
                    raise JobError(
                        f"{self.file}, line {number + 1}: this is not a row of looksay; remove it, or --overwrite the "
                        "file"
                    ) from error

    def entries(self) -> Iterator[Entry]:
        """See `CaptionWriter.entries`."""
        rows = (entry for _, entry in self._lines() if entry)
        return (next(captions) for _, captions in groupby(rows, lambda entry: entry.image))

    def remove(self, images: Container[str]) -> None:
        """See `CaptionWriter.remove`."""
        self._rewrite(line for line, entry in self._lines() if not entry or entry.image not in images)

    def correct(self, captions: Mapping[str, str]) -> None:
        """See `CaptionWriter.correct`; of several captions of an image, one remains."""

        def lines() -> Iterator[bytes]:
            last = ""
            for line, entry in self._lines():
                if entry and entry.image in captions:
                    if entry.image != last:
                        corrected = self._corrected(line.decode("utf-8", "surrogateescape"), captions[entry.image])
                        yield corrected.encode("utf-8", "surrogateescape")
                    last = entry.image
                else:
                    yield line

        self._rewrite(lines())

    @abstractmethod
    def _corrected(self, line: str, caption: str) -> str:
        """Return a line with another caption."""

    def rehash(self, images: Container[str], digest: Callable[[Path], str]) -> None:
        """See `CaptionWriter.rehash`."""

        def lines() -> Iterator[bytes]:
            for line, entry in self._lines():
                if entry and entry.sha256 and entry.image in images:
                    yield line.replace(entry.sha256.encode(), digest(self.file.parent / entry.image).encode())
                else:
                    yield line

        self._rewrite(lines())

    def _rewrite(self, lines: Iterable[bytes]) -> None:
        """Replace the lines of the file, in one step."""
        self._file.close()
        with replacing(self.file, durable=True) as new, new.open("wb") as kept:
            kept.writelines(lines)
        self._file = self.file.open("ab", buffering=0)

    def _append(self, rows: Sequence[Row]) -> None:
        data = memoryview("".join(map(self._format, rows)).encode("utf-8"))
        while data:  # a single write, unless the disk is full
            data = data[self._file.write(data) :]
        os.fsync(self._file.fileno())

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
        keywords = (name for name, probability in row.get("tags", {}).items() if probability >= KEYWORD_PROBABILITY)
        caption, is_corrected = row.get("caption", ""), "caption" in row and "log_prob" not in row
        confidence = row.get("confidence")
        return Entry(row["image"], row["sha256"], "error" in row, caption, confidence, is_corrected, tuple(keywords))

    def _corrected(self, line: str, caption: str) -> str:
        kept = {key: value for key, value in json.loads(line).items() if key in ("image", "tags", "sha256")}
        return json.dumps(kept | {"caption": caption}, ensure_ascii=False) + "\n"

    def _format(self, row: Row) -> str:
        return json_line(row.image, row.outcome, sha256=row.sha256)


class CsvWriter(_LineWriter):
    """Writes one line a caption, with columns for the sha256 of the image and the provenance."""

    def name(self, image: str) -> str:
        """See `CaptionWriter.name`."""
        return escaped(super().name(image))

    def _header(self) -> str:
        return csv_line(*COLUMNS, "sha256", MADE_BY)

    def _provenance_id(self, header: str, row: str) -> str | None:
        if header != self._header():
            return None
        try:
            return next(csv.reader([row]))[-1] if row.endswith("\n") else self.provenance.id
        except _BROKEN:
            return None

    def _parse(self, line: str) -> Entry:
        image, caption, confidence, log_prob, keywords, error, digest, _ = next(csv.reader([line]))
        has_failed, words = bool(error) and LEFT_OUT not in error, filter(None, keywords.split(KEYWORD_SEPARATOR))
        is_corrected = bool(caption) and not log_prob
        known = float(confidence) if confidence else None
        return Entry(image, digest, has_failed, caption, known, is_corrected, tuple(words))

    def _corrected(self, line: str, caption: str) -> str:
        image, _, _, _, keywords, _, *more = next(csv.reader([line]))
        return csv_line(image, caption, "", "", keywords, "", *more)

    def _format(self, row: Row) -> str:
        return csv_lines(row.image, row.outcome, row.sha256, self.provenance.id)
