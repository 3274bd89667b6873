"""Disputes of payments, and the warnings that come before them."""
