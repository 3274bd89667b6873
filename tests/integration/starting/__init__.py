"""What stands in the room `starting`, on a real database."""
