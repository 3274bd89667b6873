"""n8n, imitated."""
