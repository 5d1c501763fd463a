"""Run a notebook and save it with its outputs: ``python notebooks/save_outputs.py NAME --folder DIR KEY=VALUE …``.

The notebook runs in DIR. KEY=VALUE replaces a parameter in that run only; the saved source stays as it is. Progress and
warnings are dropped, and so is what cells with the tag ``photos`` display: photos of a data set are not ours to
publish.
"""

from __future__ import annotations

import argparse
import ast
import base64
import io
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

NOTEBOOKS = Path(__file__).parent
LONGEST_PNG = 100_000  # bytes; larger images are saved as JPEG


def kept_outputs(cell: Any) -> list[Any]:
    """Return the outputs to save."""
    photos = "photos" in cell.metadata.get("tags", ())
    outputs = []
    for output in cell.outputs:
        if output.get("name") == "stderr" or (photos and "data" in output):
            continue
        if len(png := output.get("data", {}).get("image/png", "")) > LONGEST_PNG:
            file = io.BytesIO()
            Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB").save(file, "JPEG", quality=85)
            output.data = {"image/jpeg": base64.b64encode(file.getvalue()).decode()}
        outputs.append(output)
    return outputs


def main() -> None:
    """Run and save a notebook."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("parameters", nargs="*", metavar="KEY=VALUE", help="VALUE is a Python literal")
    parser.add_argument("--folder", type=Path, default=NOTEBOOKS)
    options = parser.parse_intermixed_args()
    path = NOTEBOOKS / f"{options.name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    (parameters,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    source = parameters.source
    values = dict(pair.split("=", 1) for pair in options.parameters)
    parameters.source += "".join(f"\n{key} = {ast.literal_eval(value)!r}" for key, value in values.items())
    NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(options.folder)}}).execute()
    parameters.source = source
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = kept_outputs(cell)
    for key in set(notebook.metadata) - {"kernelspec", "language_info"}:
        del notebook.metadata[key]
    nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
