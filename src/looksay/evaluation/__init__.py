"""Evaluation of models and of captions: scores, tables and reports."""

from looksay.evaluation.evaluate import evaluate
from looksay.evaluation.scoring import Evaluation, score_captions

__all__ = ["Evaluation", "evaluate", "score_captions"]
