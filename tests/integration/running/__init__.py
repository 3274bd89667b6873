"""What stands in the room `running`, on a real database."""
