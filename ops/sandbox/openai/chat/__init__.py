"""The chat completions of the imitated OpenAI."""
