"""Invoices: their items, payments and credit notes, and the customers' balances."""
