"""Tests of the record of events: its text, its verification, and its rebuild."""
