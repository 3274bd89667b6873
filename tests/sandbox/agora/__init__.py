"""The imitated Agora, as its own SDK or REST API is used."""
