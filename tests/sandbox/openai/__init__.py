"""The imitated OpenAI, as its own SDK or REST API is used."""
