"""Finds and repairs drift: the reconciler, orphan effects, the comparison of rows with events."""
