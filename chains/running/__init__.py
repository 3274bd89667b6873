"""What a definition asks of a running workflow: inputs, branches, waits, pauses."""
