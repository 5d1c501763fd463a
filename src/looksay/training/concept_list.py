"""``imagenet_concepts.txt``: the nouns by which people call ImageNet's classes."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import resources

from looksay.tagging.concepts import Concept


def read() -> list[Concept]:
    """Return the concepts of the table."""
    text = (resources.files("looksay") / "training" / "imagenet_concepts.txt").read_text(encoding="utf-8")
    group, concepts, parents = "", {}, {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if heading := re.fullmatch(r"\[(\w+)( !)?\]", line):
            group = heading[1] if heading[2] else ""
            continue
        names, _, classes = line.partition(":")
        names, _, parent = names.partition("<")
        words = tuple(word.lstrip("~") for word in names.split())
        homonyms = tuple(word[1:] for word in names.split() if word.startswith("~"))
        concept = Concept(words, words, group, tuple(_numbers(classes)), homonyms=homonyms)
        concepts[concept.name] = concept
        if parent.strip():
            parents[concept.name] = parent.strip()
    for name, parent in parents.items():
        child, above = concepts[name], concepts[parent]
        concepts[name] = replace(child, named_by=child.words + above.words)
        concepts[parent] = replace(above, classes=above.classes + child.classes, named_by=above.named_by + child.words)
    return list(concepts.values())


def _numbers(text: str) -> list[int]:
    """Return the numbers of ``7 8 83-85``."""
    numbers: list[int] = []
    for part in text.split():
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers
