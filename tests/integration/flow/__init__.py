"""Flow control: what waits for its start, what is admitted, and what frees a place."""
