"""OpenAI, imitated."""
