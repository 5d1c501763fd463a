"""Writing captions into photos and next to them costs their owner nothing."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import EXAMPLES, PHOTOS
from image_files import (
    MINE,
    PNG_XMP,
    XMP_HEADER,
    before_pixels,
    chunk,
    described,
    exif,
    first,
    iptc,
    jpeg,
    multi_picture,
    packet,
    png,
    segment,
)
from PIL import Image, ImageCms, IptcImagePlugin

from looksay.cli.main import main
from looksay.errors import ImageError
from looksay.jobs import image_containers, xmp
from looksay.jobs.sidecar_writers import MetadataWriter, TextWriter
from looksay.types import Caption, Tag

TEXT = "two boats & a <lake>, é 日"
CAPTION = Caption(TEXT, (), 0.0)
ESCAPED = "two boats &amp; a &lt;lake&gt;, é 日".encode()
KEEP, OVERWRITE = MetadataWriter(overwrite=False), MetadataWriter(overwrite=True)
TABLES = exif({0x0112: 6, 0x010F: "Maker"})
FILES = {
    "plain.jpg": jpeg(),
    "exif.jpg": jpeg(exif=TABLES, icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
    "fill.jpg": first(jpeg(), b"\xff\xff"),
    "iptc.jpg": first(jpeg(), segment(0xE1, TABLES), iptc(MINE.encode())),
    "packet.jpg": first(jpeg(), segment(0xE1, TABLES), segment(0xE1, XMP_HEADER + described())),
    "attribute.jpg": first(jpeg(), segment(0xE1, XMP_HEADER + packet(f'dc:description="{MINE}"'))),
    "several.jpg": multi_picture(exif=TABLES),
    "plain.png": png(),
    "exif.png": png(exif=TABLES),
    "packet.png": before_pixels(png(), chunk(b"iTXt", PNG_XMP + b"\0\0\0\0\0" + described())),
}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg(exif=TABLES))
    return path


@pytest.fixture
def webp(tmp_path: Path) -> Path:
    path = tmp_path / "photo.webp"
    Image.linear_gradient("L").convert("RGB").save(path)
    return path


@pytest.mark.parametrize("name", FILES)
def test_the_caption_is_written_and_the_pixels_stay(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])
    assert OVERWRITE.write(path, CAPTION)
    assert path.read_bytes().count(ESCAPED) == 2
    assert not KEEP.write(path, Caption("another", (), 0.0))
    assert path.read_bytes().count(ESCAPED) == 2
    assert [file.name for file in tmp_path.iterdir()] == [name]
    with Image.open(path) as after, Image.open(io.BytesIO(FILES[name])) as before:
        assert after.tobytes() == before.tobytes()
        assert after.getexif() == before.getexif()


@pytest.mark.parametrize("name", FILES)
def test_exiv2_reads_the_caption_without_a_warning(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    exiv2 = pytest.importorskip("exiv2")
    path = tmp_path / name
    path.write_bytes(FILES[name])
    OVERWRITE.write(path, CAPTION)
    image = exiv2.ImageFactory.open(str(path))
    image.readMetadata()
    assert TEXT in image.xmpData()["Xmp.dc.description"].toString()
    assert TEXT in image.xmpData()["Xmp.iptc.AltTextAccessibility"].toString()
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not shutil.which("exiftool"), reason="needs exiftool")
def test_exiftool_reads_the_caption_without_a_new_warning(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    fields = ["-validate", "-warning", "-error", "-a", "-XMP-dc:Description", "-XMP-iptcCore:AltTextAccessibility"]
    command = ["exiftool", "-json", *fields, *(str(tmp_path / name) for name in FILES)]
    before = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    for name in FILES:
        OVERWRITE.write(tmp_path / name, CAPTION)
    after = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    captions = {"Description": TEXT, "AltTextAccessibility": TEXT}
    assert after == [row | captions for row in before]
    for name in FILES:
        KEYWORDS.write(tmp_path / name, TAGGED)
    tagged = json.loads(subprocess.run([*command, "-XMP-dc:Subject"], check=True, capture_output=True).stdout)
    assert tagged == [row | captions | {"Subject": ["dog", "bed"]} for row in before]


def test_mode_times_owner_and_extended_attributes_of_a_photo_are_kept(photo: Path) -> None:
    photo.chmod(0o640)
    os.utime(photo, (1_000_000_000, 1_100_000_000))
    if has_attributes := hasattr(os, "setxattr"):
        os.setxattr(photo, "user.xdg.tags", b"holiday")
    if is_root := hasattr(os, "geteuid") and not os.geteuid():
        os.chown(photo, 12345, 23456)
    assert KEEP.write(photo, CAPTION)
    about = photo.stat()
    assert (about.st_mode & 0o777, about.st_mtime) == (0o640, 1_100_000_000)
    assert not has_attributes or os.getxattr(photo, "user.xdg.tags") == b"holiday"
    assert not is_root or (about.st_uid, about.st_gid) == (12345, 23456)


@pytest.mark.parametrize("writer", [TextWriter(overwrite=True), OVERWRITE])
def test_an_existing_sidecar_file_keeps_its_mode_and_tells_of_its_change(
    writer: TextWriter | MetadataWriter, webp: Path
) -> None:
    writer.write(webp, CAPTION)
    (file,) = writer.files(webp)
    file.chmod(0o600)
    os.utime(file, (1_000_000_000, 1_100_000_000))
    writer.write(webp, Caption("another", (), 0.0))
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.stat().st_mtime > 1_100_000_000


def test_symbolic_links_are_written_through(photo: Path, webp: Path) -> None:
    for path, target in ((photo, photo), (webp.with_suffix(".xmp"), webp.parent / "elsewhere.xmp")):
        link = photo.parent / "link.jpg" if path == photo else path
        link.symlink_to(target)
        assert KEEP.write(link if path == photo else webp, CAPTION)
        assert link.is_symlink()
        assert ESCAPED in target.read_bytes()


@pytest.fixture
def as_another_user() -> Iterator[Path]:
    """A folder that everyone may write to, and a process that is not root's and owns nothing in it."""
    if not hasattr(os, "geteuid") or os.geteuid():
        pytest.skip("needs root, to become another user")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photo.jpg").write_bytes(jpeg())
        folder.chmod(0o777)
        os.seteuid(12345)
        try:
            yield folder
        finally:
            os.seteuid(0)


@pytest.mark.parametrize(("mode", "message"), [(0o666, "owner and group could not be kept"), (0o444, "ermission")])
def test_a_photo_of_another_user_or_a_read_only_one_is_not_replaced(
    mode: int, message: str, as_another_user: Path
) -> None:
    photo = as_another_user / "photo.jpg"
    os.seteuid(0)
    photo.chmod(mode)
    os.seteuid(12345)
    with pytest.raises(PermissionError, match=message):
        OVERWRITE.write(photo, CAPTION)
    assert photo.read_bytes() == jpeg()
    assert [file.name for file in as_another_user.iterdir()] == ["photo.jpg"]


@pytest.mark.parametrize("name", ["photo.webp.xmp", "photo.xmp"])
def test_a_sidecar_file_of_either_name_is_used(name: str, webp: Path) -> None:
    sidecar = webp.with_name(name)
    sidecar.write_bytes(packet('xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"'))
    assert KEEP.write(webp, CAPTION)
    assert b'xmp:Rating="4"' in sidecar.read_bytes()
    assert ESCAPED in sidecar.read_bytes()
    assert {file.name for file in webp.parent.iterdir()} == {webp.name, name}


@pytest.mark.parametrize("name", ["photo.webp", "photo.jpg"])
@pytest.mark.parametrize("sidecar", ["{}.xmp", "photo.xmp"])
def test_a_caption_in_a_sidecar_file_is_kept_or_replaced_everywhere(
    sidecar: str, name: str, photo: Path, webp: Path
) -> None:
    image = photo if name == "photo.jpg" else webp
    (webp if image == photo else photo).unlink()
    file = image.with_name(sidecar.format(name))
    file.write_bytes(described())
    before = image.read_bytes()
    assert not KEEP.write(image, CAPTION)
    assert (file.read_bytes(), image.read_bytes()) == (described(), before)
    assert OVERWRITE.write(image, CAPTION)
    for path in image.parent.iterdir():
        assert path == webp or path.read_bytes().count(ESCAPED) == 2


@pytest.mark.parametrize("suffix", [".webp", ".heic", ".GIF"])
def test_images_that_differ_in_their_suffix_do_not_take_each_others_captions(
    suffix: str, photo: Path, webp: Path
) -> None:
    assert KEEP.write(webp.rename(webp.with_suffix(suffix)), CAPTION)
    assert KEEP.write(photo, CAPTION)
    assert webp.with_suffix(".xmp").read_bytes().count(ESCAPED) == 2
    assert ESCAPED in photo.read_bytes()


def test_other_formats_get_a_new_sidecar_file(webp: Path) -> None:
    before = webp.read_bytes()
    assert KEEP.write(webp, CAPTION)
    assert webp.read_bytes() == before
    assert ESCAPED in webp.with_suffix(".xmp").read_bytes()
    assert not KEEP.write(webp, CAPTION)


@pytest.mark.parametrize(
    "data",
    [b"\xff\xd8\xff\xe1\0\4ab\0", png()[:10], first(jpeg(), segment(0xE1, XMP_HEADER + b"<x:xmpmeta><rdf:RDF>"))],
)
def test_a_file_that_cannot_be_parsed_is_not_changed(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"photo\.jpg: cannot write into its metadata: "):
        OVERWRITE.write(path, CAPTION)
    assert path.read_bytes() == data
    assert [file.name for file in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_caption_that_cannot_be_written_still_comes_out(tmp_path: Path) -> None:
    broken, output = tmp_path / "broken.jpg", tmp_path / "captions.jsonl"
    broken.write_bytes(first(jpeg(), segment(0xE1, XMP_HEADER + b"<x:xmpmeta><rdf:RDF>")))
    arguments = ["caption", str(broken), "--write", "xmp", "--num-beams", "1"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert result.stdout.strip()
    assert "broken.jpg: cannot write into its metadata: its XMP is broken" in result.stderr
    assert CliRunner().invoke(main, [*arguments, "--output", str(output)]).exit_code == 1
    row = json.loads(output.read_text(encoding="utf-8").splitlines()[1])
    assert row["caption"] == result.stdout.strip()
    broken.write_bytes(jpeg())
    assert CliRunner().invoke(main, [*arguments, "--output", str(output)]).exit_code == 0
    assert b"AltTextAccessibility" in broken.read_bytes()  # the next run has tried again
    assert len(output.read_text(encoding="utf-8").splitlines()) == 2


def test_images_that_a_job_wrote_captions_into_do_not_count_as_changed(tmp_path: Path) -> None:
    album, output = Path(shutil.copytree(EXAMPLES, tmp_path / "album")), tmp_path / "captions.jsonl"
    arguments = ["caption", str(album), "--output", str(output), "--write", "xmp", "--num-beams", "1"]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert all(b"AltTextAccessibility" in (album / name).read_bytes() for name in PHOTOS)
    written = output.read_bytes()
    again = CliRunner().invoke(main, arguments)
    assert "changed" not in again.stderr
    assert output.read_bytes() == written


TAGGED = Caption(TEXT, (), 0.0, tags=(Tag("dog", 0.9, in_caption=True), Tag("bed", 0.5, in_caption=False),
                                      Tag("cat", 0.4, in_caption=False)))  # fmt: skip
KEYWORDS = MetadataWriter(overwrite=False, captions=False, keywords=True)
BOTH = MetadataWriter(overwrite=False, keywords=True)


@pytest.mark.parametrize("name", FILES)
def test_keywords_are_added_once_whatever_caption_there_is(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])
    assert KEYWORDS.write(path, TAGGED)
    with_keywords = path.read_bytes()
    assert not KEYWORDS.write(path, TAGGED)
    assert path.read_bytes() == with_keywords
    (packet,) = (part.content for part in image_containers.read(with_keywords) if part.kind == "xmp")
    assert xmp.keywords(packet) == ["dog", "bed"]
    assert ESCAPED not in with_keywords
    with Image.open(path) as after, Image.open(io.BytesIO(FILES[name])) as before:
        assert after.tobytes() == before.tobytes()


def test_a_caption_that_is_kept_does_not_keep_keywords_away(photo: Path) -> None:
    assert KEEP.write(photo, Caption("mine", (), 0.0))
    assert BOTH.write(photo, TAGGED)
    assert ESCAPED not in photo.read_bytes()
    assert photo.read_bytes().count(b"<rdf:li>dog</rdf:li>") == 1


def test_iptc_keywords_follow_where_there_is_iptc(tmp_path: Path, photo: Path) -> None:
    path = tmp_path / "iptc.jpg"
    path.write_bytes(FILES["iptc.jpg"])
    assert BOTH.write(path, TAGGED)
    with Image.open(path) as image:
        data = IptcImagePlugin.getiptcinfo(image)
    assert data == {(2, 120): MINE.encode(), (2, 25): [b"dog", b"bed"]}
    BOTH.write(photo, TAGGED)
    with Image.open(photo) as image:
        assert IptcImagePlugin.getiptcinfo(image) is None


def test_keywords_alone_need_a_sidecar_file_of_an_image_without_metadata(webp: Path) -> None:
    assert KEYWORDS.write(webp, TAGGED)
    assert xmp.keywords(webp.with_suffix(".xmp").read_bytes()) == ["dog", "bed"]
    assert xmp.captions(webp.with_suffix(".xmp").read_bytes()) == []
    webp.with_suffix(".xmp").unlink()
    assert not KEYWORDS.write(webp, CAPTION)
    assert not webp.with_suffix(".xmp").exists()
