"""XMP metadata: a caption is written, and everything else in the file is kept."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import EXAMPLES, PHOTOS
from PIL import Image

from looksay.cli.main import main
from looksay.errors import ImageError
from looksay.jobs import xmp

TEXT = "two boats & a <lake>, é 日"
EXISTING = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:xmp="http://ns.adobe.com/xap/1.0/">'
    b'<rdf:Description rdf:about="" xmp:Rating="4"><xmp:Label>mine</xmp:Label></rdf:Description>'
    b'</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)

ATTRIBUTE = b'<!-- a comment --><rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" dc:description="my own" '
DEEP = (
    EXISTING[: EXISTING.index(b"<xmp:Label>")]
    + b"<a>" * 5000
    + b"</a>" * 5000
    + EXISTING[EXISTING.index(b"<xmp:Label>") :]
)
DEEP = DEEP.ljust(42_000)


def write_image(tmp_path: Path, kind: str, xmp: bytes | None = None) -> Path:
    """Write a small image with EXIF and a colour profile; return its path."""
    photo = Image.open(EXAMPLES / "boats.jpg").resize((64, 48))
    exif = Image.Exif()
    exif[0x010E] = "my description"
    path = tmp_path / f"photo.{kind}"
    photo.save(path, exif=exif, icc_profile=b"profile" * 50)
    if xmp:  # the first segment of the file, as some cameras have it
        body = b"http://ns.adobe.com/xap/1.0/\0" + xmp
        path.write_bytes(b"\xff\xd8\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + path.read_bytes()[2:])
    return path


def read_xmp(path: Path) -> str:
    with Image.open(path) as image:
        packet = image.info.get("xmp") or image.info["XML:com.adobe.xmp"]
    return packet.decode() if isinstance(packet, bytes) else str(packet)


def without_xmp(data: bytes) -> bytes:
    """Cut the packet out by hand: a JPEG segment or a PNG chunk."""
    if data.startswith(b"\xff\xd8"):
        start = data.index(b"http://ns.adobe.com/xap/1.0/\0") - 4
        return data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]
    start = data.index(b"iTXtXML:com.adobe.xmp") - 4
    return data[:start] + data[start + 12 + int.from_bytes(data[start : start + 4], "big") :]


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_only_the_caption_is_added(kind: str, tmp_path: Path) -> None:
    path = write_image(tmp_path, kind)
    before = path.read_bytes()
    path.chmod(0o640)
    assert xmp.write(path, TEXT)
    after = path.read_bytes()
    assert without_xmp(after) == before
    assert path.stat().st_mode & 0o777 == 0o640
    assert read_xmp(path).count("two boats &amp; a &lt;lake&gt;, é 日") == 2
    Image.open(path).load()
    assert not xmp.write(path, "something else")
    assert path.read_bytes() == after
    assert xmp.write(path, "something else", overwrite=True)
    assert without_xmp(path.read_bytes()) == before
    assert read_xmp(path).count("something else") == 2
    assert "boats" not in read_xmp(path)


def test_existing_xmp_is_kept(tmp_path: Path) -> None:
    path = write_image(tmp_path, "jpg", EXISTING)
    before = without_xmp(path.read_bytes())
    assert xmp.write(path, TEXT)
    assert without_xmp(path.read_bytes()) == before
    assert 'xmp:Rating="4"' in read_xmp(path)
    assert "<xmp:Label>mine</xmp:Label>" in read_xmp(path)
    assert "two boats" in read_xmp(path)


def test_a_description_in_an_attribute_is_kept_or_replaced(tmp_path: Path) -> None:
    path = write_image(tmp_path, "jpg", EXISTING.replace(b"<rdf:Description ", ATTRIBUTE))
    before = path.read_bytes()
    assert not xmp.write(path, TEXT)
    assert path.read_bytes() == before
    assert xmp.write(path, TEXT, overwrite=True)
    assert "my own" not in read_xmp(path)
    assert read_xmp(path).count("two boats") == 2
    assert "<!-- a comment -->" in read_xmp(path)


def test_fill_bytes_between_jpeg_segments_are_kept(tmp_path: Path) -> None:
    path = write_image(tmp_path, "jpg")
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xff" + data[2:])
    assert xmp.write(path, TEXT)
    assert without_xmp(path.read_bytes()) == data[:2] + b"\xff\xff" + data[2:]
    assert xmp.write(path, "other", overwrite=True)
    assert read_xmp(path).count("other") == 2


def test_other_formats_get_a_sidecar_file(tmp_path: Path) -> None:
    path = write_image(tmp_path, "webp")
    before = path.read_bytes()
    assert xmp.write(path, TEXT)
    assert path.read_bytes() == before
    assert "two boats" in (tmp_path / "photo.xmp").read_text(encoding="utf-8")
    assert not xmp.write(path, TEXT)


def test_a_symbolic_link_is_kept(tmp_path: Path) -> None:
    path = write_image(tmp_path, "jpg")
    link = tmp_path / "link.jpg"
    link.symlink_to(path)
    assert xmp.write(link, TEXT)
    assert link.is_symlink()
    assert "two boats" in read_xmp(path)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff\xe1",
        b"\xff\xd8\xff\xe1\x00\x04ab\x00",
        b"\x89PNG\r\n\x1a\n\x00\x00",
        b"\xff\xd8\xff\xe1" + (31 + 42_000).to_bytes(2, "big") + b"http://ns.adobe.com/xap/1.0/\0" + DEEP,
        b"\xff\xd8\xff\xe1" + (31 + 40).to_bytes(2, "big") + b"http://ns.adobe.com/xap/1.0/\0<!DOCTYPE x>" + b" " * 26,
    ],
)
def test_a_file_that_cannot_be_parsed_is_not_changed(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"photo\.jpg: cannot write a caption into it"):
        xmp.write(path, TEXT)
    assert path.read_bytes() == data
    assert [file.name for file in tmp_path.iterdir()] == ["photo.jpg"]


def test_images_that_a_job_wrote_captions_into_do_not_count_as_changed(tmp_path: Path) -> None:
    album, output = Path(shutil.copytree(EXAMPLES, tmp_path / "album")), tmp_path / "captions.jsonl"
    arguments = ["caption", str(album), "--output", str(output), "--write", "xmp", "--num-beams", "1"]
    pixels = {path: _pixels(path) for path in map(album.joinpath, PHOTOS)}
    assert CliRunner().invoke(main, arguments).exit_code == 0
    written = output.read_bytes()
    again = CliRunner().invoke(main, arguments)
    assert "changed" not in again.stderr
    assert output.read_bytes() == written
    assert {path: _pixels(path) for path in map(album.joinpath, PHOTOS)} == pixels


def _pixels(path: Path) -> bytes:
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        return image.tobytes()
