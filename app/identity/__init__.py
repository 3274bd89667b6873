"""Who calls: users, their API keys, and signed links."""
