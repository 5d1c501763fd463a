"""Layouts of caption data sets."""
