"""The calls of the imitated Replicate's API, by what they are about."""
