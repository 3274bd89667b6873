"""No input or output: pure functions, by tables."""
