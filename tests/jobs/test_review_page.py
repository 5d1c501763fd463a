"""A page to correct captions in a browser, the least probable ones first."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import EXAMPLES
from playwright.sync_api import Browser, expect, sync_playwright

from looksay.jobs.review_page import read_corrections, write
from looksay.jobs.writers import Entry

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def entry(
    image: str, caption: str = "a <b>cat</b>", confidence: float | None = 0.5, *, has_failed: bool = False,
    is_corrected: bool = False,
) -> Entry:  # fmt: skip
    return Entry(image, "0", has_failed, caption, confidence, is_corrected, ())


ENTRIES = [
    entry("sure.jpg", confidence=0.9),
    entry("cat.jpg", confidence=0.1),
    entry("left out.jpg", "", None),
    entry("broken.jpg", "", None, has_failed=True),
    entry("done.jpg", confidence=None, is_corrected=True),
    entry('odd, "name".jpg', confidence=0.2),
]
SHOWN = ["left out.jpg", "cat.jpg", 'odd, "name".jpg', "sure.jpg"]


def test_of_many_captions_the_least_probable_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("looksay.jobs.review_page.MOST", 2)
    assert write(tmp_path / "r.html", ENTRIES, EXAMPLES) == 2
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.index("left out.jpg") < page.index('name="cat.jpg"')
    assert "sure.jpg" not in page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.mark.slow
def test_corrections_are_typed_in_the_browser_and_read_back(browser: Browser, tmp_path: Path) -> None:
    assert write(tmp_path / "r.html", ENTRIES, EXAMPLES) == 4
    page = browser.new_page()
    page.goto((tmp_path / "r.html").as_uri())
    fields = page.locator("textarea")
    assert [field.get_attribute("name") for field in fields.all()] == SHOWN
    assert fields.nth(1).input_value() == "a <b>cat</b>"
    button = page.get_by_role("button")
    expect(button).to_be_disabled()
    page.get_by_label("cat.jpg").fill('my cat,\n"asleep"')
    page.get_by_label('odd, "name".jpg').fill("草の上の猫")
    page.get_by_label("sure.jpg").fill("  ")
    expect(page.locator("output")).to_have_text("2 corrected")
    with page.expect_download() as download:
        button.click()
    download.value.save_as(tmp_path / "corrections.csv")
    page.close()
    assert read_corrections(tmp_path / "corrections.csv") == {
        "cat.jpg": 'my cat, "asleep"',
        'odd, "name".jpg': "草の上の猫",
    }
