"""Customers with their means of payment, and what is sold to them."""
