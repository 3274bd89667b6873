"""Versions of definitions: registered, activated, compared and listed."""
