"""What stands in the room `broker`, on a real database."""
