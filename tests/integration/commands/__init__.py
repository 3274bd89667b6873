"""What stands in the room `commands`, on a real database."""
