"""The keywords of JSON Schema whose patterns may take long, and the limits on that time."""
