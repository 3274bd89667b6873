"""The imitated Replicate, as its own SDK or REST API is used."""
