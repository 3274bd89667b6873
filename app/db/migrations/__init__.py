"""The schema's history: expand, backfill, contract; one idea a file."""
