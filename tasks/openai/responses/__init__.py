"""OpenAI's Responses API: texts and structured answers, at once or in the background."""
