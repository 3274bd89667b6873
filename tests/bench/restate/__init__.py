"""Restate as a peer: its server from npm, its SDK from PyPI, in an environment of its own."""
