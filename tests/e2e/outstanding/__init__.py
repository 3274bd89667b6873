"""Hundreds of generations that wait at their vendors, and four slots."""
