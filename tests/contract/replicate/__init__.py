"""Tests of Replicate: faces that are swapped."""
