"""A model, or captions from anywhere, and a data set → scores and a report."""

from looksay.evaluation.evaluate import evaluate
from looksay.evaluation.scoring import Evaluation, judge

__all__ = ["Evaluation", "evaluate", "judge"]
