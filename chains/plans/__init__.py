"""Plans: definitions laid out as rows of steps, checked, and compiled into canvases. Pure."""
