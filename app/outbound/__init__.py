"""The HTTP seam: the only place from which requests to platforms are sent."""
