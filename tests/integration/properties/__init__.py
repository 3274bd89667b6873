"""The step protocol under any interleaving: its invariants, and its state machines."""
