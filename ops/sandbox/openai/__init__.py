"""An imitation of OpenAI."""
