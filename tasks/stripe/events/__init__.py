"""Events that name their object only, and the reads that the web process makes at Stripe."""
