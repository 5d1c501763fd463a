"""Caption metrics, equal to coco-caption's and without Java."""

from looksay.metrics.scores import Scorer, score

__all__ = ["Scorer", "score"]
