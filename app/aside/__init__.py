"""A child process does the work that would hold Python's lock, and so all other threads, for long.

Invariant: a process and its child share pipes and nothing else, so either may die at any moment.
"""
