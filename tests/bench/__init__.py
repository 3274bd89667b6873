"""Durable steps against raw Celery, in alternating runs on one machine.

Timed: from the moment that running, idle workers may read a preloaded queue until the last workflow
(or the last result) is recorded. Durable here: PostgreSQL with fsync and synchronous_commit on, a
row, an event and a commit for every step. Raw: chains of three no-op tasks, results in Valkey, all
else Celery's default. Both: prefork, the same concurrency, task events on, one Valkey. CPU is read
from the kernel for the process groups of workers, PostgreSQL and Valkey; the producer is apart.
"""
