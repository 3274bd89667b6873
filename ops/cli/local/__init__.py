"""Commands that work on this machine: its processes, its database."""
