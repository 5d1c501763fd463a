"""CaptionDataset → scores of words: the networks."""
