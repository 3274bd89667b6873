"""Customers, and the payment methods that are saved for them."""
