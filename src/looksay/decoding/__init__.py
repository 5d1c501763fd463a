"""From the log-probabilities of single tokens to captions: greedy, beam and constrained beam search, and sampling."""
