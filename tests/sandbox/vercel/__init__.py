"""The imitated Vercel, as its own SDK or REST API is used."""
