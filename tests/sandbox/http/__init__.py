"""Tests of the imitated service for jobs."""
