"""The laptop profile: everything that Playalter needs, on one machine.

One supervisor runs PostgreSQL and Valkey from Python wheels, the sandbox that imitates the vendors,
and every process of Playalter. Production does not use this package; it sets DATABASE_URL,
REDIS_URL and the vendors' addresses.
"""
