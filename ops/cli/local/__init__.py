"""Commands that start processes on this machine or use the database directly."""
