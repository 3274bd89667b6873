"""Tests of Vercel: pages that are published."""
