"""Resumable jobs that caption folders of any size."""
