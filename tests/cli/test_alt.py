"""looksay alt gives the images of pages their alt text, and changes nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import EXAMPLES

import looksay
from looksay.alt_text.pages import MARK
from looksay.cli.main import main

PAGE = (
    '<!DOCTYPE html>\r\n<title>é</title>\r\n<img src="img/boats.jpg">\r\n<img src="/img/cat.jpg" alt="mine">\r\n'
    '<img src="/img/copy.jpg" class=x>\r\n<img src="img/none.jpg"><img src="https://example.org/a.jpg">\r\n'
    '<img src="img/line.jpg" alt="">\r\n'
)
POST = "# Post\n\n![](../img/cat.jpg) and `![](../img/cat.jpg)`\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for folder in ("site/img", "site/blog", "site/.git", "site/node_modules"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(EXAMPLES / "boats.jpg", "site/img/boats.jpg")
    shutil.copy(EXAMPLES / "boats.jpg", "site/img/copy.jpg")
    shutil.copy(EXAMPLES / "cat.jpg", "site/img/cat.jpg")
    Path("site/index.html").write_bytes(PAGE.encode())
    Path("site/blog/post.md").write_bytes(POST.encode())
    Path("site/old.html").write_bytes("<img src='img/cat.jpg'> \xe9".encode("latin-1"))
    Path("site/.git/a.html").write_text("<img src=../img/cat.jpg>")
    Path("site/node_modules/a.html").write_text("<img src=../img/cat.jpg>")
    return Path("site")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["alt", *map(str, arguments)])


def alt_text(photo: str) -> str:
    text = looksay.caption(EXAMPLES / photo)
    return text[0].upper() + text[1:]


def test_missing_alt_text_is_written_and_nothing_else_changes(site: Path) -> None:
    result = run(site)
    assert result.exit_code == 0, result.output
    boats, cat, mark = alt_text("boats.jpg"), alt_text("cat.jpg"), ' data-alt-source="looksay"'
    page = PAGE.replace('<img src="img/boats', f'<img alt="{boats}"{mark} src="img/boats')
    page = page.replace('<img src="/img/copy', f'<img alt="{boats}"{mark} src="/img/copy')
    assert (site / "index.html").read_bytes() == page.encode()
    assert (site / "blog/post.md").read_bytes() == POST.replace("![]", f"![{cat}]", 1).encode()
    assert f"site/index.html:3: img/boats.jpg: {boats}" in result.stdout
    assert "3 alt texts written into 2 pages; 2 left out" in result.stderr
    assert "site/index.html:6: img/none.jpg: left out, there is no site/img/none.jpg" in result.stderr
    assert "https://example.org/a.jpg: left out, it is not a file of this site" in result.stderr
    assert "site/old.html: left out, it is not UTF-8" in result.stderr
    assert run(site / "blog", "--check").exit_code == 0


def test_a_dry_run_prints_a_diff_and_changes_nothing(site: Path) -> None:
    result = run(site / "blog/post.md", "--dry-run")
    assert result.exit_code == 0
    assert f"+![{alt_text('cat.jpg')}](../img/cat.jpg) and `![](../img/cat.jpg)`" in result.stdout.splitlines()
    assert "--- a/site/blog/post.md" in result.stdout
    assert (site / "blog/post.md").read_bytes() == POST.encode()
    Path("page.html").write_text('<img src="site/img/cat.jpg">')  # without an end of the line
    lines = run("page.html", "--dry-run").stdout.splitlines()
    assert lines[3:] == [
        '-<img src="site/img/cat.jpg">', mark := "\\ No newline at end of file",
        f'+<img alt="{alt_text("cat.jpg")}"{MARK} src="site/img/cat.jpg">', mark,
    ]  # fmt: skip


def test_a_page_keeps_its_mode_and_a_read_only_one_its_content(site: Path) -> None:
    (site / "index.html").chmod(0o640)
    assert run(site / "index.html").exit_code == 0
    assert (site / "index.html").stat().st_mode & 0o777 == 0o640
    (site / "blog/post.md").chmod(0o444)
    if os.access(site / "blog/post.md", os.W_OK):
        pytest.skip("root may write to any file")
    result = run(site / "blog/post.md")
    assert result.exit_code == 2
    assert "post.md cannot be written: Permission denied" in result.stderr


def test_check_reports_and_fails(site: Path) -> None:
    result = run(site, "--check")
    assert result.exit_code == 1
    assert "site/blog/post.md:3: ../img/cat.jpg has no alt text" in result.stdout
    assert "https://example.org/a.jpg has no alt text" in result.stdout
    assert "5 images without alt text" in result.stderr
    assert (site / "index.html").read_bytes() == PAGE.encode()


def test_uncertain_captions_and_broken_images_are_left_out_with_the_reason(site: Path) -> None:
    (site / "img/boats.jpg").write_bytes(b"not an image")
    result = run(site, "--min-confidence", "0.999")
    assert result.exit_code == 0
    assert "left out, confidence" in result.stderr
    assert "boats.jpg" in result.stderr
    assert "0 alt texts written into 0 pages; 5 left out" in result.stderr
    assert (site / "index.html").read_bytes() == PAGE.encode()


def test_one_bad_address_or_file_does_not_stop_the_others(site: Path) -> None:
    long = "x" * 300
    (site / "bad.html").write_text(f'<img src="https://[your-domain]/a.png"><img src="{long}"><img src="img/cat.jpg">')
    (site / ".#bad.html").symlink_to("nowhere")  # an editor's
    (site / "lost.md").symlink_to("nowhere.md")
    result = run(site)
    assert result.exit_code == 0, result.output
    assert "your-domain]/a.png: left out, it is not a file of this site" in result.stderr
    assert f"{long}: left out, there is no" in result.stderr
    assert "lost.md: left out: No such file" in result.stderr
    assert f'alt="{alt_text("cat.jpg")}"' in (site / "bad.html").read_text()
    assert "4 alt texts written into 3 pages; 4 left out" in result.stderr


def test_options_and_mistakes(site: Path) -> None:
    Path("page.html").write_text('<img src="site/img/cat.jpg" alt="">')
    assert "0 alt texts" in run("page.html").stderr
    run("page.html", "--empty", "--no-mark")
    assert Path("page.html").read_text() == f'<img src="site/img/cat.jpg" alt="{alt_text("cat.jpg")}">'
    result = run("none.html")
    assert result.exit_code == 2
    assert "none.html" in result.stderr
