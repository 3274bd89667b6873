"""Meters, and what customers use of what they count."""
