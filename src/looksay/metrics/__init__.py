"""Judging captions, as coco-caption does and without Java."""

from looksay.metrics.scores import score

__all__ = ["score"]
