"""Imitations of the six vendors over real HTTP, in their own wire formats, one port each,
and a small service for jobs, which stands for all others.

This package imports nothing from app, tasks, chains or web. If clients and sandbox shared code, a
wrong belief about a vendor would be in both, and no test would find it.
"""
