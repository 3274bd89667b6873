"""What stands in the room `protocol`, on a real database."""
