"""Text files of unknown encoding: never read as something else in silence."""

from __future__ import annotations

import re

import pytest

from looksay.data import text_files
from looksay.errors import DataError


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_usual_encodings_are_read(encoding: str) -> None:
    assert text_files.decode("ein Hund läuft".encode(encoding), "a.txt") == "ein Hund läuft"


def test_utf_16_without_a_bom_and_nul_characters_are_refused_with_the_line() -> None:
    message = "a.txt, line 1 has NUL characters, as UTF-16 without a BOM has: save the file as UTF-8"
    with pytest.raises(DataError, match=re.escape(message)):
        text_files.decode("a dog".encode("utf-16-le"), "a.txt")
    with pytest.raises(DataError, match="b.tsv, line 2 has NUL"):
        text_files.decode(b"image\tcaption\na.jpg\ta\0 dog\n", "b.tsv")
