"""Real processes over real HTTP: campaigns carried to their end, whatever is killed on the way."""
