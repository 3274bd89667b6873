"""A platform of others: a package outside of the checkout, found by its entry point."""
