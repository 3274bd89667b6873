"""What a person may ask of a workflow: one command a module."""
