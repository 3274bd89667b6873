"""The durable kernel: rows, claims, outcomes, and the interfaces that every platform uses.

It knows no platform and no definition. `tasks` and `chains` import it, it imports neither.
"""
