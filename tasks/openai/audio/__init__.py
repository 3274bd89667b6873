"""OpenAI's audio: what is said in a sound, in its language or in English, and speech of a text."""
