"""Campaigns on an instance whose processes are killed, stopped or replaced, or whose clocks err."""
