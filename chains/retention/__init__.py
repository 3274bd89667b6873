"""How long ended workflows are kept: in PostgreSQL, and then in the archive."""
