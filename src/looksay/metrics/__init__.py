"""Judging captions, as coco-caption does and without Java."""

from looksay.metrics.scores import Scorer, score

__all__ = ["Scorer", "score"]
