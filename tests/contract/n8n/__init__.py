"""Tests of n8n: notifications that are sent and answered."""
