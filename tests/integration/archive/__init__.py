"""Tests of the archive: what is moved, when, and how it is read."""
