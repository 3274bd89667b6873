"""Tests of Stripe: payments that are authorized, captured and refunded."""
