"""What the imitated vendors bill their account for."""
