"""Tests of `app/broker`, and of workers that lack a release or a setting, on a real database."""
