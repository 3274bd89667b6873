"""Payments in two steps, hold and capture, and refunds."""
