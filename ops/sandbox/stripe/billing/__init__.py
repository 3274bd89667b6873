"""Invoices, and the subscriptions, quotes and credit notes that make and change them."""
