"""Subscriptions, and what moves them: schedules, test clocks and Stripe's own time."""
