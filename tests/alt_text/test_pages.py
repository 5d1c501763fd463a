"""Images without alt text are recognised as browsers and Markdown readers see them, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from looksay.alt_text.pages import MARK, image_file, missing_alts, with_alts


def sources(text: str, suffix: str = ".html", *, empty: bool = False) -> list[tuple[str, int]]:
    return [(image.source, image.line) for image in missing_alts(text, suffix, empty=empty)]


def filled(text: str, suffix: str = ".html", alt: str = "A dog", *, empty: bool = False, mark: bool = False) -> str:
    return with_alts(text, [(image, alt) for image in missing_alts(text, suffix, empty=empty)], mark=mark)


@pytest.mark.parametrize(("before", "after"), [
    ('<img src="a.jpg">', '<img alt="A dog" src="a.jpg">'),
    ("<p>é</p>\r\n<IMG\n  SRC=a.jpg  class='x' />", "<p>é</p>\r\n<IMG alt=\"A dog\"\n  SRC=a.jpg  class='x' />"),
    ('<picture><source srcset="b.webp"><img src="a.jpg"></picture>',
     '<picture><source srcset="b.webp"><img alt="A dog" src="a.jpg"></picture>'),
    ('<img src="a.jpg" data-alt="x" title=" alt=&quot;&quot; ">',
     '<img alt="A dog" src="a.jpg" data-alt="x" title=" alt=&quot;&quot; ">'),
])  # fmt: skip
def test_html_images_without_alt_are_filled(before: str, after: str) -> None:
    assert filled(before) == after
    assert filled(after) == after


@pytest.mark.parametrize("text", [
    '<img src="blank.gif" data-src="a.jpg">', '<img src="data:image/gif;base64,R0" data-original="a.jpg">',
    '<img class="lazy" data-lazy-src="a.jpg">', '<img data-original="a.jpg">', '<img src="a.jpg" data-src="">',
    '<img src="a.jpg" data-original="https://cdn.example/large.jpg">',
])  # fmt: skip
def test_a_lazily_loaded_image_is_found_behind_its_placeholder(text: str) -> None:
    assert sources(text) == [("a.jpg", 1)]


@pytest.mark.parametrize("text", [
    '<img src="a.jpg" alt="a cat">', '<img src="a.jpg" alt="">', '<img src="a.jpg" alt>', '<img alt="x">', "<img>",
    '<img src="a.jpg" role="presentation">', '<img src="a.jpg" aria-hidden="true">',
    '<img src="a.jpg" aria-label="a cat">', '<img src="a.gif" width="1" height="1">', '<!-- <img src="a.jpg"> -->',
    '<script>x = "<img src=a.jpg>"</script>', "<style>/* <img src=a.jpg> */</style>", "a < b, <imgs src='a.jpg'>",
])  # fmt: skip
def test_other_html_is_left_alone(text: str) -> None:
    assert sources(text) == []


@pytest.mark.parametrize(("before", "after"), [
    ('<img src="a.jpg" alt="">', '<img src="a.jpg" alt="A dog">'),
    ("<img alt='' src=a.jpg>", '<img alt="A dog" src=a.jpg>'),
    ("<img src=a.jpg alt>", '<img src=a.jpg alt="A dog">'),
    ('<img src="a.jpg" ALT = "" />', '<img src="a.jpg" alt="A dog" />'),
    ('<img title="no alt here" alt="" src="a.jpg">', '<img title="no alt here" alt="A dog" src="a.jpg">'),
    ("<img src=a.jpg alt=>", '<img src=a.jpg alt="A dog">'),
])  # fmt: skip
def test_empty_alt_is_filled_on_request(before: str, after: str) -> None:
    assert filled(before, empty=True) == after


def test_the_mark_and_special_characters_in_html() -> None:
    text = filled('<img src="a.jpg">', alt='a "b" <c> & d', mark=True)
    assert text == f'<img alt="a &quot;b&quot; &lt;c&gt; &amp; d"{MARK} src="a.jpg">'


@pytest.mark.parametrize(("before", "after"), [
    ("![](a.jpg)", "![A dog](a.jpg)"),
    ("# T\n\ntext ![ ](<my photo.jpg> \"t\") and ![](b(1).png).\n",
     "# T\n\ntext ![A dog](<my photo.jpg> \"t\") and ![A dog](b(1).png).\n"),
    ("- x\n  - ![](a.jpg)\n\n> ![](b.jpg)\n", "- x\n  - ![A dog](a.jpg)\n\n> ![A dog](b.jpg)\n"),
    ("![][dog]\n\n[dog]: a.jpg\n", "![A dog][dog]\n\n[dog]: a.jpg\n"),
    ("[![](a.jpg)](https://example.org)", "[![A dog](a.jpg)](https://example.org)"),
    ('Text.\r\n\r\n<img src="a.jpg">\r\n\r\n![](b.jpg)\r\n',
     'Text.\r\n\r\n<img alt="A dog" src="a.jpg">\r\n\r\n![A dog](b.jpg)\r\n'),
    ("| a |\n|---|\n| ![](a.jpg) |\n", "| a |\n|---|\n| ![A dog](a.jpg) |\n"),
])  # fmt: skip
def test_markdown_images_without_alt_are_filled(before: str, after: str) -> None:
    assert filled(before, ".md") == after


@pytest.mark.parametrize("text", [
    "![a cat](a.jpg)", "`![](a.jpg)`", "```\n![](a.jpg)\n```", "    ![](a.jpg)\n", r"\![](a.jpg)",
    "<!-- ![](a.jpg) -->", "[](a.jpg)", "~~~html\n<img src=a.jpg>\n~~~", "`<img src=a.jpg>`", "![]( )", "![][none]",
])  # fmt: skip
def test_other_markdown_is_left_alone(text: str) -> None:
    assert sources(text, ".md") == []
    assert filled(text, ".md") == text


def test_code_beside_an_image_is_no_image() -> None:
    text = "Write `![](a.jpg)` to show ![](a.jpg).\n"
    assert filled(text, ".md") == "Write `![](a.jpg)` to show ![A dog](a.jpg).\n"


def test_an_alt_text_does_not_end_the_markdown_image() -> None:
    assert filled("![](a.jpg)", ".md", alt=r"a [sign] \ x") == r"![a \[sign\] \\ x](a.jpg)"


@given(st.lists(st.sampled_from(["<img src='a.jpg'>", "![](b.jpg)", "é\r\n", "\n\n", "`", "<p>", "text ", "- ", "\t"])))
def test_only_alt_texts_are_added(parts: list[str]) -> None:
    text = "".join(parts)
    for suffix in (".html", ".md"):
        images = missing_alts(text, suffix)
        result = with_alts(text, [(image, "Ω") for image in images], mark=False)
        assert result.replace(' alt="Ω"', "").replace("![Ω]", "![]") == text
        assert missing_alts(result, suffix) == []
        assert all(text.split("\n")[image.line - 1].find(image.source) >= 0 for image in images)


@pytest.mark.parametrize(("source", "file"), [
    ("a.jpg", "site/blog/a.jpg"), ("../img/my%20photo.jpg?w=200#x", "site/blog/../img/my photo.jpg"),
    ("/img/a.jpg", "site/img/a.jpg"), ("https://example.org/a.jpg", None), ("//cdn.example.org/a.jpg", None),
    ("data:image/png;base64,AA", None), ("#top", None), ("https://[your-domain]/logo.png", None),
])  # fmt: skip
def test_urls_lead_to_files_of_the_site(source: str, file: str | None) -> None:
    assert image_file(source, Path("site/blog/post.md"), Path("site")) == (Path(file) if file else None)
