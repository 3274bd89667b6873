"""The archive over HTTP, for operators."""
