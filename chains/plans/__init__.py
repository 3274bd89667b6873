"""Definitions laid out as rows, checked as a whole, and compiled into canvases. Pure."""
