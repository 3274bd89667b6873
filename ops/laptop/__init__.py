"""The laptop profile: one supervisor runs PostgreSQL and Valkey from wheels, the sandbox of the
vendors, and every process of Playalter.

Production uses nothing of this; it sets DATABASE_URL, REDIS_URL and the vendors' addresses.
"""
