"""The imitated Stripe, as its own SDK or REST API is used."""
