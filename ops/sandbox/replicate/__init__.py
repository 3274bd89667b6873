"""Replicate, imitated."""
