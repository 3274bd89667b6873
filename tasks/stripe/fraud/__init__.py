"""Holds risky payments for a person: what Radar says, and how often payments come."""
