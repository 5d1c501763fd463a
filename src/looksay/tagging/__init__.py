"""Concepts that the encoder recognises."""
