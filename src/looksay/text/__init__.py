"""Tokens of captions and the vocabulary of a model."""
