"""What one thing costs by itself, compared with nobody; each has a command of its own."""
