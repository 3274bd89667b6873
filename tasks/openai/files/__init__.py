"""OpenAI's Files API: files that are uploaded for batches, training and models, and deleted."""
