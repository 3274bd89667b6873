"""A neighbour of a user who sends pictures that take long, or does not read them."""
