"""Prompts over HTTP: versions, labels, and tries."""
