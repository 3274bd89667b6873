"""The order of steps: definitions, plans and canvases, commands, undoing, repair.

This package knows definitions and the names of platforms' actions. It does not know HTTP.
"""
