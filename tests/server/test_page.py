"""The web page: drop images, read captions and see attention maps, by mouse, touch or keyboard.

Needs Chromium. ``$LOOKSAY_SCREENSHOTS`` names a folder for screenshots.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import math
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
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on(
        "console", lambda message: problems.append(message.text) if "Content Security Policy" in message.text else None
    )
    allowed = (server.url, "blob:", "data:")
    opened.on("request", lambda sent: None if sent.url.startswith(allowed) else problems.append(sent.url))
    opened.goto(server.url)
    yield opened
    context.close()
    assert problems == []


def take_screenshot(page: Page, name: str) -> None:
    if folder := os.environ.get("LOOKSAY_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png")


def drop(page: Page, *files: Path) -> None:
    """Drop files on the page, as from a file manager."""
    contents = [[file.name, base64.b64encode(file.read_bytes()).decode()] for file in files]
    transfer = page.evaluate_handle(_FILES, contents)
    for event in ("dragover", "drop"):
        page.dispatch_event("#intake", event, {"dataTransfer": transfer})


_FILES = """(contents) => {
    const files = new DataTransfer();
    for (const [name, content] of contents) {
        const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
        files.items.add(new File([bytes], name, { type: /png$/.test(name) ? "image/png" : "image/jpeg" }));
    }
    return files;
}"""


def wait_for_status(page: Page, text: str) -> None:
    expect(page.locator("#status")).to_have_text(text, timeout=30_000)


def map_of(page: Page) -> str:
    """Return the attention map shown on the first image, or an empty string."""
    url: str = page.locator(".card canvas").first.evaluate(
        "canvas => canvas.classList.contains('shown') ? canvas.toDataURL() : ''"
    )
    return url


def test_a_dropped_photo_gets_the_caption_of_the_library_and_a_map_for_each_token(page: Page) -> None:
    drop(page, BOATS)
    wait_for_status(page, "1 captioned")
    caption = looksay.caption(BOATS, num_captions=3)
    assert page.locator(".caption").inner_text() == caption
    expect(page.locator(".card img")).to_have_attribute("alt", caption)
    expect(page.locator(".card img")).to_have_js_property("naturalWidth", 480)  # the thumbnail
    assert page.locator(".other").count() == 3
    (captions,) = looksay.load().outcomes([BOATS], num_captions=3)
    assert isinstance(captions, list)
    shown = [float(text.removesuffix(" %")) for text in page.locator(".score").all_inner_texts()]
    means = [100 * math.exp(caption.log_prob / (len(caption.tokens) + 1)) for caption in captions]
    assert shown == pytest.approx(means, abs=0.2)
    assert shown == sorted(shown, reverse=True)  # what is shown is what ranks

    tokens = page.locator(".token")
    assert map_of(page) == ""
    tokens.nth(1).hover()
    first = map_of(page)
    tokens.nth(6).hover()
    assert "" != map_of(page) != first
    page.locator("h1").hover()
    assert map_of(page) == ""

    page.locator(".other").nth(1).click()
    assert page.locator(".caption").inner_text() == page.locator(".other span").nth(2).inner_text()


def test_recognised_objects_are_below_the_caption(page: Page) -> None:
    drop(page, BOATS)
    wait_for_status(page, "1 captioned")
    (captions,) = looksay.load().outcomes([BOATS])
    assert isinstance(captions, list)
    tags = captions[0].tags
    assert tags
    texts = [
        f"{tag.name} {100 * tag.probability:.0f} %{'' if tag.in_caption else ', not in the caption'}" for tag in tags
    ]
    assert page.locator(".tags li").all_inner_texts() == texts
    assert page.locator(".tags li.in-caption").count() == sum(tag.in_caption for tag in tags)


def test_the_keyboard_moves_between_tokens_and_pins_a_map(page: Page) -> None:
    page.set_input_files("#files", BOATS)
    wait_for_status(page, "1 captioned")
    page.locator(".token").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".token").nth(1)).to_be_focused()
    focused_map = map_of(page)
    assert focused_map
    page.keyboard.press("Enter")
    expect(page.locator(".token").nth(1)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Tab")
    assert map_of(page) == focused_map


PHONE = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "color_scheme": "dark"}


@pytest.mark.parametrize("page", [PHONE], indirect=True)
def test_a_tap_pins_a_map_on_a_phone_in_dark_mode(page: Page) -> None:
    page.set_input_files("#files", EXAMPLES / "astronaut.jpg")
    wait_for_status(page, "1 captioned")
    page.locator(".token").nth(5).tap()
    assert map_of(page)
    page.wait_for_timeout(300)
    take_screenshot(page, "phone-dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(value) for value in background.removeprefix("rgb(").removesuffix(")").split(", ")) < 60
    page.locator(".token").nth(5).tap()
    assert map_of(page) == ""


def test_a_pasted_image_is_captioned(page: Page) -> None:
    content = base64.b64encode(BOATS.read_bytes()).decode()
    page.evaluate(f"""() => {{
        const files = ({_FILES})([["", {content!r}]]);
        document.dispatchEvent(new ClipboardEvent("paste", {{ clipboardData: files }}));
    }}""")
    wait_for_status(page, "1 captioned")
    assert page.locator(".name").inner_text() == "pasted image"


def test_ten_images_a_broken_one_and_a_bomb(page: Page, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(BOATS.read_bytes()[:5000])
    (tmp_path / "bomb.png").write_bytes(bomb(10_000, 10_000))
    several = [Path(shutil.copy(EXAMPLES / PHOTOS[n % 4], tmp_path / f"{n}-{PHOTOS[n % 4]}")) for n in range(10)]
    page.set_input_files("#files", [*several, tmp_path / "broken.jpg", tmp_path / "bomb.png"])
    wait_for_status(page, "10 captioned, 2 failed")
    errors = page.locator(".error").all_text_contents()
    assert any("truncated" in text for text in errors)
    assert any("10000 × 10000 pixels" in text for text in errors)
    page.locator(".card").nth(1).locator(".token").nth(4).hover()
    page.wait_for_timeout(400)
    take_screenshot(page, "gallery")

    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"))))
    assert [row["image"] for row in rows] == [path.name for path in several] + ["broken.jpg", "bomb.png"]
    assert rows[0]["caption"] == looksay.caption(several[0], num_captions=3)
    assert "truncated" in rows[10]["error"]
    with page.expect_download() as download:
        page.get_by_role("button", name="Download JSONL").click()
    lines = [json.loads(line) for line in Path(download.value.path()).read_text(encoding="utf-8").splitlines()]
    assert [set(line) for line in lines] == [{"image", "caption", "confidence", "log_prob"}] * 10 + [
        {"image", "error"}
    ] * 2

    page.get_by_role("button", name="Remove all").click()
    assert page.locator(".card").count() == 0


def test_files_that_are_no_images_are_named_with_the_reason(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("words")
    (tmp_path / "data.unknown").write_bytes(b"data")
    page.set_input_files("#files", [BOATS, tmp_path / "notes.txt", tmp_path / "data.unknown"])
    wait_for_status(page, "1 captioned")
    expect(page.locator("#message")).to_have_text(
        "Not captioned, because they are not images: notes.txt is text/plain; data.unknown is of an unknown type"
    )


def test_the_page_and_its_links_work_under_a_root_path(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, "--root-path", "/captions") as server:
        page = browser.new_page()
        page.goto(f"{server.url}/captions")
        page.set_input_files("#files", BOATS)
        wait_for_status(page, "1 captioned")
        page.get_by_role("link", name="HTTP API").click()
        expect(page.locator("pre").first).to_contain_text(f"{server.url}/captions/v1/captions")
        page.get_by_role("link", name="Web page").click()
        expect(page).to_have_url(f"{server.url}/captions/")
        page.close()


def test_captions_are_copied_as_they_are_and_as_alt_text(page: Page) -> None:
    page.set_input_files("#files", BOATS)
    wait_for_status(page, "1 captioned")
    caption = looksay.caption(BOATS, num_captions=3)
    page.get_by_role("button", name="Copy caption").click()
    assert page.evaluate("navigator.clipboard.readText()") == caption
    page.get_by_role("button", name="Copy as alt text").click()
    assert page.evaluate("navigator.clipboard.readText()") == f'alt="{caption.capitalize()}."'


def test_decoding_options_change_the_caption(page: Page) -> None:
    page.set_input_files("#files", BOATS)
    wait_for_status(page, "1 captioned")
    page.locator("#settings summary").click()
    page.locator("#num_beams").fill("1")
    page.locator("#num_captions").fill("1")
    page.get_by_role("button", name="Generate all again").click()
    wait_for_status(page, "1 captioned")
    expect(page.locator(".caption")).to_have_text(f"{looksay.caption(BOATS, num_beams=1)} ")
    assert page.locator(".other").count() == 0


@pytest.mark.parametrize("page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True)
@pytest.mark.parametrize("place", ["", "/docs"])
def test_the_page_is_accessible(page: Page, server: Server, place: str) -> None:
    page.goto(server.url + place)
    if place:
        page.wait_for_selector("article")
    else:
        page.locator("#settings summary").click()
        page.set_input_files("#files", [BOATS, EXAMPLES / "alps.jpg"])
        wait_for_status(page, "2 captioned")
    take_screenshot(page, f"audit{place.replace('/', '-')}")
    report = Axe().run(page)
    serious = [item for item in report.response["violations"] if item["impact"] in ("serious", "critical")]
    assert [(item["id"], [node["html"] for node in item["nodes"]]) for item in serious] == []


def test_scrolling_through_hundreds_of_images_stays_smooth(page: Page, tmp_path: Path) -> None:
    """Cards outside the viewport are not rendered, so that no frame takes long."""
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
    assert slow < 200  # milliseconds for two frames, rendered without a GPU


def test_the_token_dialog_opens_once_and_again_after_a_wrong_token(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, LOOKSAY_TOKEN="open sesame") as protected:  # noqa: S106
        page = browser.new_page()
        page.goto(protected.url)
        for token in ("wrong", "open sesame"):
            expect(page.locator("dialog")).to_be_visible()
            page.get_by_role("textbox", name="Token").fill(token)
            page.get_by_role("button", name="Send token").click()
        page.set_input_files("#files", [BOATS, EXAMPLES / "alps.jpg"])
        wait_for_status(page, "2 captioned")
        expect(page.locator("dialog")).to_be_hidden()
        page.close()


def test_sampled_captions_differ_and_have_no_score(page: Page) -> None:
    page.set_input_files("#files", BOATS)
    wait_for_status(page, "1 captioned")
    page.locator(".token").nth(1).click()
    page.locator("#settings summary").click()
    page.locator("#temperature").fill("1.5")
    texts = set()
    for _ in range(3):
        page.get_by_role("button", name="Generate all again").click()
        expect(page.locator(".card")).to_have_attribute("aria-busy", "true")
        assert map_of(page) == ""
        expect(page.locator(".card")).to_have_attribute("aria-busy", "false")
        texts.add(page.locator(".caption").inner_text())
    assert len(texts) > 1
    assert page.locator(".score").count() == page.locator(".card meter").count() == 0
