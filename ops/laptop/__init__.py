"""The laptop profile: PostgreSQL and Valkey from wheels, the vendors' sandbox and every process of
Playalter under one supervisor.

Nothing here is used in production, which sets DATABASE_URL, REDIS_URL and the vendors' addresses.
"""
