"""Concepts that the encoder recognises, and captions that mention them."""
