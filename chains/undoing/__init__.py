"""Stops a workflow and undoes the effects of its steps."""
