"""Tests of OpenAI: briefs that are moderated, and captions."""
