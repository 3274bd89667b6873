"""What Stripe keeps for the account, and what it has paid out of it."""
