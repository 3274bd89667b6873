"""Runs workflows as their definitions say (inputs, branches, waits), and pauses them."""
