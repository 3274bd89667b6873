"""Runs workflows by their definitions: inputs of steps, branches, waits; and pauses them."""
