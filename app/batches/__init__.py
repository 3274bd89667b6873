"""The records of batches at platforms, and of their lines, each of which is a call of a step."""
