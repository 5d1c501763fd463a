"""Token by token to whole captions: greedy, beam and constrained beam search, and sampling."""
