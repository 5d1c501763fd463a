"""XMP packets: captions are found in every form that RDF allows, and everything else stays as it is."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from image_files import DC, MINE, RDF, described, packet

from looksay.jobs import xmp

TEXT = "two boats & a <lake>, é 日"
ALT = 'xmlns:i="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"'
TIFF = 'xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
ADDED = re.compile(rb"<(dc:description|Iptc4xmpCore:AltTextAccessibility) xmlns.*?</\1>")

HELD = {
    "element": described(),
    "attribute": packet(f'dc:description="{MINE}"'),
    "attribute in single quotes, after one that looks like it": packet(
        f"""dc:title=' dc:description="no"'\n dc:description = '{MINE}'"""
    ),
    "alt text": packet(f'{ALT} i:AltTextAccessibility="{MINE}"'),
    "plain text": packet(inner=f"<dc:description>{MINE}</dc:description>"),
    "another language": packet(
        inner=f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default"/><rdf:li xml:lang="fr">{MINE}</rdf:li></rdf:Alt>'
        "</dc:description>"
    ),
    "structure": packet(
        inner=f'<dc:description rdf:parseType="Resource"><rdf:value>{MINE}</rdf:value></dc:description>'
    ),
    "structure in the short form": packet(inner=f'<dc:description rdf:value="{MINE}"/>'),
    "other prefixes": described()
    .replace(b"dc:", b"a:")
    .replace(b":dc=", b":a=")
    .replace(b"rdf:", b"b:")
    .replace(b":rdf=", b":b="),
    "default namespace": re.sub(rb"(</?| )rdf:", rb"\1", described()).replace(b":rdf=", b"="),
    "second rdf:Description": packet(more=f'<rdf:Description rdf:about="" {DC} dc:description="{MINE}"/>'),
    "no x:xmpmeta": re.sub(rb"</?x:xmpmeta.*?>", b"", described()),
}
KEPT = {
    "as Adobe writes it": b'\xef\xbb\xbf<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    + packet('xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"', "<!-- mine --><xmp:Label>a &amp; b</xmp:Label>")
    + b'\n<?xpacket end="r"?>\n',
    "empty rdf:Description": packet().replace(b"></rdf:Description>", b"/>"),
    "extended": packet('xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="5740B4AB4292ABB7BDCE0639415FA33F"'),
    "numbered prefix": packet('xmlns:ns1="mine:" ns1:a="1" xmlns:ns2="mine:" ns2:b="2"'),
    "zero bytes at the end": packet() + b"\0\0",
}


def values(packet: bytes) -> list[str]:
    """Return the description and the alt text as another parser reads them."""
    root = ElementTree.fromstring(packet.strip(b"\0"))  # noqa: S314 (written above)
    names = (
        "{http://purl.org/dc/elements/1.1/}description",
        "{http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/}AltTextAccessibility",
    )
    return ["".join(element.itertext()) for name in names for element in root.iter(name)]


@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
def test_a_caption_in_any_form_is_found_and_replaced_by_one(held: bytes) -> None:
    assert MINE in [text.strip() for text in xmp.captions(held)]
    new = xmp.with_caption(held, TEXT)
    assert MINE.encode() not in new
    assert values(new) == [TEXT, TEXT]
    assert xmp.captions(new) == [TEXT, TEXT]


@pytest.mark.parametrize("source", KEPT.values(), ids=KEPT)
def test_everything_else_is_kept_byte_for_byte(source: bytes) -> None:
    assert not xmp.captions(source)
    new = xmp.with_caption(source, TEXT)
    assert values(new) == [TEXT, TEXT]
    assert ADDED.sub(b"", new) == source.rstrip(b"\0").replace(b"/></rdf:RDF>", b"></rdf:Description></rdf:RDF>")


def test_captions_of_regions_and_ingredients_are_not_those_of_the_image() -> None:
    region = f'<r:Area xmlns:r="mine:"><rdf:Description dc:description="{MINE}"/></r:Area>'
    source = packet(inner=region)
    assert not xmp.captions(source)
    assert region.encode() in xmp.with_caption(source, TEXT)


def test_exifs_description_in_xmp_counts_and_is_not_changed() -> None:
    source = packet(f'{TIFF} tiff:ImageDescription="{MINE}"')
    assert xmp.captions(source) == [MINE]
    assert f'tiff:ImageDescription="{MINE}"'.encode() in xmp.with_caption(source, TEXT)


def test_padding_is_used_up_so_that_the_length_stays() -> None:
    source = packet() + b"\n" + b" " * 2000 + b'<?xpacket end="w"?>'
    new = xmp.with_caption(source, TEXT)
    assert len(new) == len(source)
    assert len(xmp.with_caption(new, "a")) == len(source)
    assert values(xmp.with_caption(packet() + b" " * 50 + b'<?xpacket end="w"?>', TEXT)) == [TEXT, TEXT]


@pytest.mark.parametrize("source", [b"", b" \0\0"])
def test_a_new_packet_has_a_wrapper(source: bytes) -> None:
    new = xmp.with_caption(source, TEXT)
    assert new.startswith(b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>')
    assert new.endswith(b'<?xpacket end="w"?>')
    assert values(new) == [TEXT, TEXT]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"<x:xmpmeta><rdf:RDF>", "its XMP is broken: unbound prefix"),
        (described()[:-20], "its XMP is broken"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]>' + described(), "document type"),
        (f"<rdf:RDF {RDF}/>".encode(), r"no rdf:Description"),
        (described("\xff").replace("\xff".encode(), b"\xff"), "its XMP is broken"),
    ],
)
def test_a_packet_that_cannot_be_parsed_is_refused(source: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        xmp.with_caption(source, TEXT)


LISTS = {
    "bag": packet(
        inner="<dc:subject><rdf:Bag><rdf:li>Holiday</rdf:li>\n<rdf:li>a &amp; b</rdf:li></rdf:Bag></dc:subject>"
    ),
    "sequence with a comment": packet(
        inner="<dc:subject><rdf:Seq><rdf:li>Holiday</rdf:li><!-- x --><rdf:li>a &amp; b</rdf:li></rdf:Seq></dc:subject>"
    ),
    "other prefixes": packet(
        inner="<dc:subject><rdf:Bag><rdf:li>Holiday</rdf:li><rdf:li>a &amp; b</rdf:li></rdf:Bag></dc:subject>"
    )
    .replace(b"dc:", b"a:")
    .replace(b":dc=", b":a=")
    .replace(b"rdf:", b"b:")
    .replace(b":rdf=", b":b="),
}


@pytest.mark.parametrize("name", LISTS)
def test_keywords_are_added_to_a_list_and_everything_else_is_kept(name: str) -> None:
    source = LISTS[name]
    assert xmp.keywords(source) == ["Holiday", "a & b"]
    new = xmp.with_keywords(source, ["dog", "holiday", "dog", "<x>"])
    assert xmp.keywords(new) == ["Holiday", "a & b", "dog", "<x>"]
    assert re.sub(rb"<\w+:li>(dog|&lt;x&gt;)</\w+:li>", b"", new) == source
    assert xmp.with_keywords(new, ["Dog"]) == new


@pytest.mark.parametrize(
    "source",
    [packet(), b"", described(), packet(inner="<dc:subject/>"), packet(inner="<dc:subject><rdf:Bag/></dc:subject>"),
     packet(inner="<dc:subject><rdf:Bag></rdf:Bag></dc:subject>"), packet('dc:subject=""')],
)  # fmt: skip
def test_a_packet_without_keywords_gets_a_list(source: bytes) -> None:
    new = xmp.with_keywords(source, ["dog", "beach"])
    assert xmp.keywords(new) == ["dog", "beach"]
    root = ElementTree.fromstring(new[new.index(b"<x:") :].partition(b"<?")[0])  # noqa: S314 (written above)
    bag = "{http://purl.org/dc/elements/1.1/}subject/{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Bag/*"
    assert [item.text for item in root.iterfind(f".//{bag}")] == ["dog", "beach"]
    assert xmp.captions(new) == xmp.captions(source)


@pytest.mark.parametrize("source", [packet('dc:subject="mine"'), packet(inner="<dc:subject>mine</dc:subject>")])
def test_a_keyword_that_is_not_in_a_list_gets_into_one(source: bytes) -> None:
    assert xmp.keywords(source) == ["mine"]
    assert xmp.keywords(xmp.with_keywords(source, ["dog"])) == ["mine", "dog"]
