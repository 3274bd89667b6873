"""Invoices, credit notes and subscriptions."""
