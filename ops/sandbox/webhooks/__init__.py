"""The vendors' outgoing webhooks: how they are stored, signed and sent again."""
