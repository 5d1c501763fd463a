"""The tokenizer, the vocabulary and English function words."""
