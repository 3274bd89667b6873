"""Steps of an instance that wait for batches."""
