"""Flow control: what decides when a workflow starts that was accepted."""
