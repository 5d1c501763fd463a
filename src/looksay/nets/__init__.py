"""Pictures → scores of words: the networks."""
