"""Checks of a text that a model has written: its length, its language, and words that it must not
have. No check calls anybody."""
