"""How many captions change when a photo is saved again as a JPEG.

python benchmarks/resaved_jpegs.py DATA [--model default] [--quality 80]

Of the val split of a data set, or of the whole data set if it has none.
"""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image
from timing import held_out_records, parser, print_row

import looksay


def resaved(path: Path, quality: int) -> bytes:
    """Return a photo as a JPEG of another quality."""
    memory = io.BytesIO()
    with Image.open(path) as photo:
        photo.convert("RGB").save(memory, "JPEG", quality=quality)
    return memory.getvalue()


def main() -> None:
    """Print a row."""
    arguments = parser(__doc__)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--model", default="default")
    arguments.add_argument("--quality", type=int, default=80)
    options = arguments.parse_args()
    paths = [record.image for record in held_out_records(options.data)]
    captioner = looksay.load(options.model)
    before = map(str, captioner.captions(paths))
    after = map(str, captioner.captions(resaved(path, options.quality) for path in paths))
    changed = sum(one != other for one, other in zip(before, after, strict=True))
    print_row(photos=len(paths), quality=options.quality, changed=changed, share=changed / len(paths))


if __name__ == "__main__":
    main()
