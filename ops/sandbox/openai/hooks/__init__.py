"""The webhooks of the imitated OpenAI, and the endpoints that are registered for them."""
