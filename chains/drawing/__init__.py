"""Draws a definition as a picture (SVG). Pure."""
