"""Vercel, imitated."""
