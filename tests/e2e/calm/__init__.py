"""Campaigns on an instance in which no process dies and no worker is replaced."""
