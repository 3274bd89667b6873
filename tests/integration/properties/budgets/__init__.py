"""Budgets: what is reserved before a paid call, booked after it, and given back."""
