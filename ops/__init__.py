"""Runs it all: command line, laptop profile, the vendors' sandbox, checks."""
