"""Schedules fire: what becomes of each time, and that none is lost or doubled."""
