"""Prompts of a project: their versions, their labels, and which definitions use them."""
