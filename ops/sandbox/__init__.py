"""Imitations of the six vendors over real HTTP, in their own wire formats, one port each.

It imports nothing of app, tasks, chains or web: a wrong belief about a vendor must not be tested
against itself.
"""
