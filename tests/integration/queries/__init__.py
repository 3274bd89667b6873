"""What stands in the room `queries`, on a real database."""
