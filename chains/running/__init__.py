"""What running workflows need of their definitions: inputs, branches, waits; and pausing."""
