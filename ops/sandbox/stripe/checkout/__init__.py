"""What customers see of Stripe: Checkout, payment links, quotes and the billing portal."""
