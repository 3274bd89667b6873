"""Tests of Agora: channels that are opened and closed."""
