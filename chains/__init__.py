"""Order: what follows what. Definitions, the canvases made of them, commands, undoing, repair.

It knows definitions and platforms' action names, not HTTP.
"""
