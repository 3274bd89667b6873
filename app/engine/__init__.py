"""One attempt of one step: claimed, prepared, run, recorded."""
