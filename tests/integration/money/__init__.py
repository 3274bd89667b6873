"""The ledger of customers' money, on a real database."""
