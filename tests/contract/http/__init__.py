"""Tests of HTTP: requests to addresses of the author's own."""
