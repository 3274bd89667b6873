"""What Stripe's objects have in common: their fields, parameters, verbs and events."""
