"""The scores of coco-caption as a torchmetrics metric, for other training loops."""

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

    The scores are of the whole corpus, so all captions are kept until `compute`. Processes exchange them as bytes.

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

    rows: list[Tensor] | Tensor  # one tensor after synchronisation

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.add_state("rows", default=[], dist_reduce_fx="cat")

    def update(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        """Add captions and their references; other numbers of them, or an image without one, raise a DataError."""
        captions = check_predictions(predictions, len(references))
        if not captions:  # the last batch of a process may be empty
            return
        rows = zip(captions, check_references(references), strict=True)
        text = "".join(json.dumps(row) + "\n" for row in rows)
        assert isinstance(self.rows, list)  # noqa: S101
        self.rows.append(torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8).to(self.device))

    def compute(self) -> dict[str, Tensor]:
        """Return the scores of all captions as float32 (1 is 100 %); without captions a DataError is raised."""
        if len(self.rows) == 0:
            raise DataError("there is nothing to score: call update() before compute()")
        data = self.rows if isinstance(self.rows, Tensor) else torch.cat(self.rows)
        rows = [json.loads(line) for line in bytes(data.cpu().numpy()).splitlines()]
        scores = score([prediction for prediction, _ in rows], [references for _, references in rows])
        return {name: torch.tensor(value, device=self.device) for name, value in scores.items()}
