"""The models of the imitated OpenAI, and when they end."""
