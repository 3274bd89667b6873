"""The responses of the imitated OpenAI."""
