"""An imitation of Replicate."""
