"""What stands in the room `record`, on a real database."""
