"""The HTTP side, with a real database and, where the test needs it, a real socket."""
