"""Doors: each command imports its stage when it runs, so that ``looksay photo.jpg`` starts fast."""
