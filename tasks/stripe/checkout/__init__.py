"""Pages of Stripe's on which a customer pays, saves a card, or begins a subscription."""
