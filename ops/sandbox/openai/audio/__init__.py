"""The sound of the imitated OpenAI: speech from a text, and the text of speech."""
