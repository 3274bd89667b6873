"""Prompts: their template language, what a version may hold, and how one is rendered. Pure."""
