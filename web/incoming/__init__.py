"""HTTP for events that come in: events, triggers, and webhooks from anybody."""
