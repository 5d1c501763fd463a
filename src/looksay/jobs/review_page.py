"""Pages on which people correct the captions of a job, and the corrections that such a page exports."""

from __future__ import annotations

import csv
import heapq
import math
from collections.abc import Iterable
from html import escape
from pathlib import Path

from looksay.errors import JobError
from looksay.jobs import image_page
from looksay.jobs.writers import Entry, escaped

MOST = 500
"""Captions on a page, whose images are part of it."""

_STYLE = """
textarea { box-sizing: border-box; width: 100%; font: inherit; border-radius: 6px; padding: .4em; }
textarea.changed { outline: 2px solid #3a7bd5; } header { position: sticky; top: 0; background: Canvas; z-index: 1; }
button { font: inherit; padding: .4em 1em; }
"""
_SCRIPT = """
const fields = [...document.querySelectorAll('textarea')], button = document.querySelector('button');
const status = document.querySelector('output');
const changed = () => fields.filter(field => field.value.trim() && field.value !== field.defaultValue);
const update = () => {
  for (const field of fields) field.classList.toggle('changed', changed().includes(field));
  button.disabled = !changed().length;
  status.textContent = `${changed().length} corrected`;
};
let exported = '';
const table = () => [['image', 'caption'], ...changed().map(field => [field.name, field.value.trim()])]
  .map(row => row.map(value => `"${value.replaceAll('"', '""').replace(/\\s+/g, ' ')}"`).join(',') + '\\n').join('');
button.onclick = () => {
  const link = document.createElement('a');
  exported = table();
  link.href = URL.createObjectURL(new Blob([exported], {type: 'text/csv'}));
  link.download = 'corrections.csv';
  link.click();
};
addEventListener('input', update);
addEventListener('beforeunload', event => { if (changed().length && table() !== exported) event.preventDefault(); });
update();
"""


def write(file: Path, entries: Iterable[Entry], folder: Path) -> int:
    """Write a page with the captions of a job that are least likely to be right; return how many there are.

    Captions that were left out come first, then those of lowest confidence, at most `MOST`; captions that people have
    corrected and images that cannot be read are not among them. The images are named from `folder`.
    """
    ranked = (
        (-1.0 if not entry.caption else math.inf if entry.confidence is None else entry.confidence, place, entry)
        for place, entry in enumerate(entries)
        if not entry.has_failed and not entry.is_corrected
    )
    shown = [entry for *_, entry in heapq.nsmallest(MOST, ranked)]
    figures = (image_page.figure(folder / entry.image, entry.caption, entry.image, _field(entry)) for entry in shown)
    head = (
        "<header><p>The captions that are least likely to be right come first. Correct them, export the corrections, "
        "and run the command of the job again with <code>--corrections corrections.csv</code>.</p>"
        "<p><button>Export corrections.csv</button> <output></output></p></header>"
    )
    image_page.write(file, f"Review: {len(shown):,} captions", figures, head=head, style=_STYLE, script=_SCRIPT)
    return len(shown)


def _field(entry: Entry) -> str:
    confidence = "left out" if not entry.caption else "" if entry.confidence is None else f"{entry.confidence:.0%}"
    name = escape(escaped(entry.image))
    attributes = f'rows="3" dir="auto" name="{name}" aria-label="{name}"'
    return f"<textarea {attributes}>{escape(entry.caption)}</textarea>{confidence}"


def read_corrections(file: Path) -> dict[str, str]:
    """Return the corrected captions by image, whose name is escaped.

    The columns, image and caption, may be separated by semicolons or tabs, as spreadsheets save them. Raises `JobError`
    if the file has other columns or is no CSV.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            delimiter = max(",;\t", key=lines.readline().count)
            lines.seek(0)
            rows = csv.DictReader(lines, strict=True, delimiter=delimiter)
            if not {"image", "caption"} <= set(rows.fieldnames or ()):
                raise JobError(f"{file} has no columns image and caption; export it from a page that --review wrote")
            corrections = {}
            for row in rows:
                image, caption = row["image"], " ".join((row["caption"] or "").split())
                if not caption:
                    raise JobError(f"{file}, line {rows.line_num}: the caption of {image} is empty; remove the line")
                corrections[image] = caption
            return corrections
    except OSError as error:
        raise JobError(f"{file} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise JobError(f"{file} is not a CSV file in UTF-8: {error}") from error
