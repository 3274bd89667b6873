"""Starts workflows and children: checks the input, commits the rows, then publishes."""
