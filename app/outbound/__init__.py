"""The one seam to the outside: every request to a platform leaves here."""
