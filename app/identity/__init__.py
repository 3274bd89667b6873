"""The identity of callers: users and their API keys."""
