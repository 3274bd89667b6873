"""Customers' money: the comparison of the ledger with the platforms' statements."""
