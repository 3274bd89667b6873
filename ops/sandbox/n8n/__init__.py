"""An imitation of n8n."""
