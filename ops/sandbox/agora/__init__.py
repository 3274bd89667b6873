"""Agora, imitated."""
