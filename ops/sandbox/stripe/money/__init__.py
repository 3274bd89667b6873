"""What the imitated Stripe does with money after a payment: books, disputes, payouts."""
