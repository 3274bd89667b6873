"""Stopping a workflow and undoing what it did."""
