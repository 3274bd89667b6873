"""Starts and ends whole worker processes, as many as the work that waits needs."""
