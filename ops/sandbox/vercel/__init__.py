"""An imitation of Vercel."""
