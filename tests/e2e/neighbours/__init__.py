"""A neighbour of a user who sends the worst that he can."""
