"""A definition as a picture (SVG). Pure."""
