"""The imitated n8n, as its own SDK or REST API is used."""
