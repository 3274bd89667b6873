"""An imitation of Agora."""
