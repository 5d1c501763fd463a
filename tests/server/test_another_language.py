"""Captions from right to left: from a CSV file to the web page, as docs/guide/another-language.md."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import EXAMPLES, ROOT
from playwright.sync_api import expect, sync_playwright
from serving import serving
from test_page import CHROMIUM, drop, take_screenshot, wait_for_status

import looksay
from looksay.cli.main import main
from looksay.jobs import review_page
from looksay.jobs.writers import Entry

WEIGHTS = ROOT.parent / "shared" / "weights" / "tf_efficientnet_lite1.in1k.fp16.safetensors"


def run(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def captioner(flickr8k: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A captioner trained on the captions of docs/guide/arabic.csv."""
    if not WEIGHTS.is_file():
        pytest.skip(f"{WEIGHTS} does not exist")
    folder = tmp_path_factory.mktemp("arabic")
    (folder / "data").mkdir()
    shutil.copy(ROOT / "docs" / "guide" / "arabic.csv", folder / "data")
    (folder / "data" / "Images").symlink_to(flickr8k / "Images")
    run("train", "small", f"data.folder={folder / 'data'}", f"data.cache={folder / 'cache'}",
        f"training.run={folder / 'run'}", f"encoder.weights={WEIGHTS}", 'augmentation.swapped=["يسار يمين"]',
        "vocabulary.min_count=2", "training.epochs=20")  # fmt: skip
    run("export", folder / "run", folder / "bundle")
    return folder / "bundle"


def is_arabic(text: str) -> bool:
    return all(unicodedata.name(letter).startswith("ARABIC") for letter in text if not letter.isspace())


@pytest.mark.slow
def test_captions_are_arabic_and_name_what_the_photos_show(captioner: Path, flickr8k: Path) -> None:
    """Photos of the val split: a dog in the grass, and a man on a wave."""
    model, photos = looksay.load(captioner), flickr8k / "Images"
    dog, surfer = (str(model(photos / name)) for name in ("2557507575_b247f145bc.jpg", "3331900249_5872e90b25.jpg"))
    assert is_arabic(dog + surfer), (dog, surfer)
    assert "كلب" in dog  # "dog"
    assert "موجة" in surfer  # "wave"


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine: apt-get install chromium")
def test_the_page_shows_arabic_from_right_to_left(captioner: Path, tmp_path: Path) -> None:
    with (
        serving(tmp_path, "--model", str(captioner)) as server,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as browser,
    ):
        page = browser.new_page()
        page.goto(server.url)
        drop(page, EXAMPLES / "cat.jpg")
        wait_for_status(page, "1 captioned")
        caption = page.locator(".caption")
        assert is_arabic(caption.inner_text())
        expect(page.locator(".confidence")).to_be_hidden()  # the model has no confidence
        for text in (caption, page.locator(".other").first):
            expect(text).to_have_css("direction", "rtl")
        words = page.locator(".token")
        words.first.focus()
        page.keyboard.press("ArrowLeft")  # on to the next word, which is to the left
        expect(words.nth(1)).to_be_focused()
        assert words.nth(1).bounding_box()["x"] < words.first.bounding_box()["x"]  # type: ignore[index]
        take_screenshot(page, "arabic")

        review_page.write(
            tmp_path / "r.html", [Entry("cat.jpg", "0", False, caption.inner_text(), 0.1, False, ())], EXAMPLES
        )
        page.goto((tmp_path / "r.html").as_uri())
        expect(page.locator("textarea")).to_have_css("direction", "rtl")
