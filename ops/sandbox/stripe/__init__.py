"""An imitation of Stripe."""
