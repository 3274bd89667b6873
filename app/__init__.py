"""The durable kernel: rows, claims, outcomes and the seams every platform goes through.

It knows no platform and no definition; `tasks` and `chains` stand on it.
"""
