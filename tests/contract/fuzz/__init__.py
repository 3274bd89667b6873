"""Mutated webhooks and mutated answers of platforms: what comes from outside may be anything.

Each test takes `FEW` mutations of each kind every day and `MANY` with --long, of a fixed seed.
"""
