"""Which score of a caption tells the captions that a person accepts: AUROC of several against the grades.

python benchmarks/grades_and_scores.py --data everyday=EVERYDAY --data flickr8k=DATA [--grades FILE]

For the grades see ``confidence.py``. Document frequencies are those of all captions of the data sets.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from confidence import ACCEPTED, GRADES, auroc
from timing import parser, print_row

from looksay import data
from looksay.metrics.cider import CiderD
from looksay.metrics.ngrams import References
from looksay.metrics.rouge import rouge_l
from looksay.metrics.word_precision import WordPrecision
from looksay.text.tokenizer import tokenize


def main() -> None:
    """Print rows for ``RESULTS.md``."""
    options = parser(__doc__)
    options.add_argument("--data", action="append", required=True, metavar="NAME=FOLDER")
    options.add_argument("--grades", type=Path, default=GRADES, help="CSV file of graded captions")
    arguments = options.parse_args()
    folders = dict(item.split("=", 1) for item in arguments.data)
    index, references = dict[tuple[str, Path], int](), list[list[list[str]]]()
    for name, folder in folders.items():
        for record in data.read(Path(folder)).records:
            index[name, Path(record.image)] = len(references)
            references.append([tokenize(caption) for caption in record.references])
    with arguments.grades.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["data"] in folders]
    images = [index[row["data"], Path(folders[row["data"]], row["image"])] for row in rows]
    captions = [tokenize(row["caption"]) for row in rows]
    counted = References(references)
    cider = np.array(CiderD(counted).image_scores(counted.count(captions), images))
    precision = np.array(WordPrecision(references).image_scores(captions, images))
    grades = np.array([int(row["grade"]) for row in rows])
    scores = {
        "ROUGE-L": np.array(rouge_l(captions, [references[image] for image in images])),
        "CIDEr-D": cider,
        "word precision": precision,
        "CIDEr-D and twice word precision": cider + 2 * precision,
    }
    for name, values in scores.items():
        print_row(
            score=name,
            captions=len(rows),
            accepted=auroc(values, grades >= ACCEPTED),
            not_wrong=auroc(values, grades > 0),
        )


if __name__ == "__main__":
    main()
