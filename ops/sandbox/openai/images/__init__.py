"""The pictures of the imitated OpenAI: generated from a prompt, or edited from pictures."""
