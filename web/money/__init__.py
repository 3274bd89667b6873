"""Customers' money over HTTP: the ledger and what workflows earn."""
