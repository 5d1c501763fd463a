"""The layouts of caption data sets that are recognised."""
