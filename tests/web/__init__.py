"""The HTTP side, over a real database and, where it matters, a real socket."""
