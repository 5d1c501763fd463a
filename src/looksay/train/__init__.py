"""Learning: recipe + data → run."""
