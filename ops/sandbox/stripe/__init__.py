"""Stripe, imitated."""
