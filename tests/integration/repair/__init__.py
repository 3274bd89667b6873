"""What stands in the room `repair`, on a real database."""
