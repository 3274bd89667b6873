"""The batches of the imitated OpenAI: many requests in a file, answered within a day."""
