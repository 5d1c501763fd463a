"""coco-caption's scores as a torchmetrics metric, for anyone's training loop."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from looksay.errors import DataError
from looksay.metrics import score
from looksay.metrics.scores import check_predictions, check_references


class CaptionScores(Metric):
    """BLEU-1 to BLEU-4, ROUGE-L and CIDEr-D of captions; see `looksay.metrics.score`.

    All captions are kept until `compute`, as the scores are of the corpus. With several processes each sees all
    captions: they travel as the bytes of a text.

    Examples
    --------
    >>> scores = CaptionScores()
    >>> scores.update(["a dog runs"], [["a dog is running", "the dog runs"]])
    >>> scores.update(["two men talk"], [["two men are talking"]])
    >>> round(float(scores.compute()["BLEU-1"]), 3)
    0.705
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    rows: list[Tensor] | Tensor  # one tensor once the processes have met

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.add_state("rows", default=[], dist_reduce_fx="cat")

    def update(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        """Take some captions and their references.

        Raises
        ------
        DataError
            If they do not fit together.
        """
        check_predictions(predictions, len(references))
        if len(predictions) == 0:  # the last batch of a process may be empty
            return
        check_references(references)
        text = "".join(
            json.dumps([said, list(wanted)]) + "\n" for said, wanted in zip(predictions, references, strict=True)
        )
        assert isinstance(self.rows, list)  # noqa: S101
        self.rows.append(torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8).to(self.device))

    def compute(self) -> dict[str, Tensor]:
        """Score all that was taken.

        Returns
        -------
        dict of str to Tensor
            Each a float32 number on the scale of 1.

        Raises
        ------
        DataError
            If nothing was taken.
        """
        if len(self.rows) == 0:
            raise DataError("there is nothing to score: update() comes before compute()")
        found = self.rows if isinstance(self.rows, Tensor) else torch.cat(self.rows)
        rows = [json.loads(line) for line in bytes(found.cpu().numpy()).splitlines()]
        scores = score([said for said, _ in rows], [wanted for _, wanted in rows])
        return {name: torch.tensor(value, device=self.device) for name, value in scores.items()}
