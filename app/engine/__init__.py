"""Runs one attempt of one step: claims the step, calls its action, and records the outcome."""
