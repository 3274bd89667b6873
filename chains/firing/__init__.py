"""Fires schedules: decides what becomes of the times that are due, and starts workflows."""
