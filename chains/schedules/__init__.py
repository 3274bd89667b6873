"""Schedules: when workflows start by themselves."""
