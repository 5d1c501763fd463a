"""Who opens the page drops images, reads captions, and sees where the model looked: by mouse, thumb or keyboard.

Runs in a real Chromium. ``$LOOKSAY_SCREENSHOTS`` names a folder for screenshots.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import EXAMPLES, PHOTOS
from playwright.sync_api import Browser, Page, expect, sync_playwright
from serving import Server, serving
from test_bad_input import bomb

import looksay

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BOATS = EXAMPLES / "boats.jpg"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, server: Server, request: pytest.FixtureRequest) -> Iterator[Page]:
    settings: dict[str, Any] = getattr(request, "param", {})
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"], **settings)
    opened = context.new_page()
    mistakes: list[str] = []
    opened.on("pageerror", lambda error: mistakes.append(str(error)))
    opened.on("console", lambda said: mistakes.append(said.text) if "Content Security Policy" in said.text else None)
    own = (server.url, "blob:", "data:")
    opened.on("request", lambda asked: None if asked.url.startswith(own) else mistakes.append(asked.url))
    opened.goto(server.url)
    yield opened
    context.close()
    assert mistakes == []


def photograph(page: Page, name: str) -> None:
    if folder := os.environ.get("LOOKSAY_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png")


def drop(page: Page, *files: Path) -> None:
    """Let files fall on the page, as from a file manager."""
    contents = [[file.name, base64.b64encode(file.read_bytes()).decode()] for file in files]
    fallen = page.evaluate_handle(_FILES, contents)
    for event in ("dragover", "drop"):
        page.dispatch_event("#intake", event, {"dataTransfer": fallen})


_FILES = """(contents) => {
    const files = new DataTransfer();
    for (const [name, content] of contents) {
        const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
        files.items.add(new File([bytes], name, { type: /png$/.test(name) ? "image/png" : "image/jpeg" }));
    }
    return files;
}"""


def captioned(page: Page, text: str) -> None:
    expect(page.locator("#status")).to_have_text(text, timeout=30_000)


def map_of(page: Page) -> str:
    """The shade over the first image, empty where there is none."""
    found: str = page.locator(".card canvas").first.evaluate(
        "canvas => canvas.classList.contains('shown') ? canvas.toDataURL() : ''"
    )
    return found


def test_a_dropped_photo_gets_the_librarys_caption_and_each_word_its_map(page: Page) -> None:
    drop(page, BOATS)
    captioned(page, "1 captioned")
    caption = looksay.caption(BOATS, num_captions=3)
    assert page.locator(".caption").inner_text() == caption
    expect(page.locator(".card img")).to_have_attribute("alt", caption)
    assert page.locator(".other").count() == 3
    shares = [int(text.removesuffix(" %")) for text in page.locator(".share").all_inner_texts()]
    assert sum(shares) in (99, 100, 101)

    words = page.locator(".word")
    assert map_of(page) == ""
    words.nth(1).hover()
    first = map_of(page)
    words.nth(6).hover()
    assert "" != map_of(page) != first
    page.locator("h1").hover()
    assert map_of(page) == ""

    page.locator(".other").nth(1).click()
    assert page.locator(".caption").inner_text() == page.locator(".other span").nth(2).inner_text()


def test_what_the_cnn_recognises_stands_below_the_caption(page: Page) -> None:
    drop(page, BOATS)
    captioned(page, "1 captioned")
    seen = looksay.load()(BOATS).tags
    assert seen
    told = [f"{tag.name} {100 * tag.probability:.0f} %{'' if tag.in_caption else ', not said'}" for tag in seen]
    assert page.locator(".tags li").all_inner_texts() == told
    assert page.locator(".tags li.said").count() == sum(tag.in_caption for tag in seen)


def test_the_keyboard_does_what_the_mouse_does(page: Page) -> None:
    page.set_input_files("#files", BOATS)
    captioned(page, "1 captioned")
    page.locator(".word").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".word").nth(1)).to_be_focused()
    looked = map_of(page)
    assert looked
    page.keyboard.press("Enter")
    expect(page.locator(".word").nth(1)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Tab")
    assert map_of(page) == looked


PHONE = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "color_scheme": "dark"}


@pytest.mark.parametrize("page", [PHONE], indirect=True)
def test_a_thumb_taps_a_word_on_a_phone_in_the_dark(page: Page) -> None:
    page.set_input_files("#files", EXAMPLES / "astronaut.jpg")
    captioned(page, "1 captioned")
    page.locator(".word").nth(5).tap()
    assert map_of(page)
    page.wait_for_timeout(300)
    photograph(page, "phone-dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(value) for value in dark.removeprefix("rgb(").removesuffix(")").split(", ")) < 60
    page.locator(".word").nth(5).tap()
    assert map_of(page) == ""


def test_a_pasted_image_is_captioned(page: Page) -> None:
    content = base64.b64encode(BOATS.read_bytes()).decode()
    page.evaluate(f"""() => {{
        const files = ({_FILES})([["", {content!r}]]);
        document.dispatchEvent(new ClipboardEvent("paste", {{ clipboardData: files }}));
    }}""")
    captioned(page, "1 captioned")
    assert page.locator(".name").inner_text() == "pasted image"


def test_ten_at_once_a_broken_one_and_a_bomb(page: Page, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(BOATS.read_bytes()[:5000])
    (tmp_path / "bomb.png").write_bytes(bomb(10_000, 10_000))
    several = [Path(shutil.copy(EXAMPLES / PHOTOS[n % 4], tmp_path / f"{n}-{PHOTOS[n % 4]}")) for n in range(10)]
    page.set_input_files("#files", [*several, tmp_path / "broken.jpg", tmp_path / "bomb.png"])
    captioned(page, "10 captioned, 2 failed")
    errors = page.locator(".error").all_text_contents()
    assert any("truncated" in text for text in errors)
    assert any("10000 × 10000 pixels" in text for text in errors)
    page.locator(".card").nth(1).locator(".word").nth(4).hover()
    page.wait_for_timeout(400)
    photograph(page, "gallery")

    with page.expect_download() as fetched:
        page.get_by_role("button", name="Download CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(fetched.value.path()).read_text(encoding="utf-8"))))
    assert [row["image"] for row in rows] == [path.name for path in several] + ["broken.jpg", "bomb.png"]
    assert rows[0]["caption"] == looksay.caption(several[0], num_captions=3)
    assert "truncated" in rows[10]["error"]
    with page.expect_download() as fetched:
        page.get_by_role("button", name="Download JSONL").click()
    lines = [json.loads(line) for line in Path(fetched.value.path()).read_text(encoding="utf-8").splitlines()]
    assert [set(line) for line in lines] == [{"image", "caption", "log_prob"}] * 10 + [{"image", "error"}] * 2

    page.get_by_role("button", name="Remove all").click()
    assert page.locator(".card").count() == 0


def test_captions_are_copied_as_they_are_and_as_alt_text(page: Page) -> None:
    page.set_input_files("#files", BOATS)
    captioned(page, "1 captioned")
    caption = looksay.caption(BOATS, num_captions=3)
    page.get_by_role("button", name="Copy caption").click()
    assert page.evaluate("navigator.clipboard.readText()") == caption
    page.get_by_role("button", name="Copy as alt text").click()
    assert page.evaluate("navigator.clipboard.readText()") == f'alt="{caption.capitalize()}."'


def test_controls_change_what_is_said(page: Page) -> None:
    page.set_input_files("#files", BOATS)
    captioned(page, "1 captioned")
    page.locator("#settings summary").click()
    page.locator("#beam").fill("1")
    assert page.locator("#num_captions").input_value() == "1"
    page.get_by_role("button", name="Caption all again").click()
    captioned(page, "1 captioned")
    expect(page.locator(".caption")).to_have_text(f"{looksay.caption(BOATS, num_beams=1)} ")
    assert page.locator(".other").count() == 0


@pytest.mark.parametrize("page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True)
@pytest.mark.parametrize("place", ["", "/docs"])
def test_nobody_is_shut_out(page: Page, server: Server, place: str) -> None:
    page.goto(server.url + place)
    if place:
        page.wait_for_selector("article")
    else:
        page.locator("#settings summary").click()
        page.set_input_files("#files", [BOATS, EXAMPLES / "alps.jpg"])
        captioned(page, "2 captioned")
    photograph(page, f"audit{place.replace('/', '-')}")
    found = Axe().run(page)
    serious = [each for each in found.response["violations"] if each["impact"] in ("serious", "critical")]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in serious] == []


def test_hundreds_of_images_stay_smooth(page: Page, tmp_path: Path) -> None:
    """Scrolling through 300 cards: no frame may take long, as none is drawn that is far away."""
    small = [Path(shutil.copy(EXAMPLES / "alps.jpg", tmp_path / f"{n}.jpg")) for n in range(300)]
    page.set_input_files("#files", small)
    expect(page.locator("#status")).to_have_text("300 captioned", timeout=120_000)
    slow = page.evaluate("""async () => {
        const frame = () => new Promise(requestAnimationFrame);
        const taken = [];
        for (let y = 0; y < document.body.scrollHeight; y += 600) {
            const start = performance.now();
            scrollTo(0, y);
            await frame();
            await frame();
            taken.push(performance.now() - start);
        }
        return taken.sort((a, b) => a - b)[Math.floor(0.95 * taken.length)];
    }""")
    assert slow < 200  # milliseconds for two frames, on a machine that draws without a graphics card


def test_a_token_is_asked_for_once_and_again_if_it_was_wrong(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, LOOKSAY_TOKEN="open sesame") as guarded:  # noqa: S106
        page = browser.new_page()
        page.goto(guarded.url)
        for token in ("wrong", "open sesame"):
            expect(page.locator("dialog")).to_be_visible()
            page.get_by_role("textbox", name="Token").fill(token)
            page.get_by_role("button", name="Use it").click()
        page.set_input_files("#files", [BOATS, EXAMPLES / "alps.jpg"])
        captioned(page, "2 captioned")
        expect(page.locator("dialog")).to_be_hidden()
        page.close()


def test_captions_drawn_at_random_differ_and_show_no_share(page: Page) -> None:
    page.set_input_files("#files", BOATS)
    captioned(page, "1 captioned")
    page.locator(".word").nth(1).click()
    page.locator("#settings summary").click()
    page.locator("#temperature").fill("1.5")
    seen = set()
    for _ in range(3):
        page.get_by_role("button", name="Caption all again").click()
        expect(page.locator(".card")).to_have_attribute("aria-busy", "true")
        assert map_of(page) == ""
        expect(page.locator(".card")).to_have_attribute("aria-busy", "false")
        seen.add(page.locator(".caption").inner_text())
    assert len(seen) > 1
    assert page.locator(".share").count() == page.locator(".card meter").count() == 0
