"""The embeddings of the imitated OpenAI."""
