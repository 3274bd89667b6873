"""What a benchmark stands on: servers of its own, processes, and what they use of the machine."""
