"""Webhooks that Playalter sends: what happens to workflows, signed, to addresses of their users."""
