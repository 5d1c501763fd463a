"""``imagenet_concepts.txt``: from ImageNet's classes to what people call them."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import resources

from looksay.tagging.concepts import Concept


def read() -> list[Concept]:
    """Return the nouns of the table; each has the classes, and names, that `Concept` tells."""
    text = (resources.files("looksay") / "train" / "imagenet_concepts.txt").read_text(encoding="utf-8")
    group, nouns, parents = "", [], {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if heading := re.fullmatch(r"\[(\w+)( !)?\]", line):
            group = heading[1] if heading[2] else ""
            continue
        said, _, numbers = line.partition(":")
        said, _, parent = said.partition("<")
        words = tuple(word.lstrip("~") for word in said.split())
        homonyms = tuple(word[1:] for word in said.split() if word.startswith("~"))
        parents[words[0]] = parent.strip()
        nouns.append(Concept(words, words, group, tuple(_numbers(numbers)), homonyms=homonyms))
    by_name = {noun.name: noun for noun in nouns}
    for name, parent in parents.items():
        if parent:
            child, above = by_name[name], by_name[parent]
            by_name[name] = replace(child, named_by=child.words + above.words)
            by_name[parent] = replace(
                above, classes=above.classes + child.classes, named_by=above.named_by + child.words
            )
    return list(by_name.values())


def _numbers(text: str) -> list[int]:
    """Return the numbers of ``7 8 83-85``."""
    found: list[int] = []
    for part in text.split():
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
