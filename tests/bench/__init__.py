"""Durable steps against raw Celery, in alternating runs on one machine (ABAB), after a warm-up.

Loads (`comparing/loads.py`), the same on both sides: `w1` chains of three steps that do nothing;
`w1i` the same with an intent recorded for each step (raw Celery has none: its chain is that of
`w1`); `w2` ten steps side by side and their join; `w3` a thousand and their join, once more with
every commit made 2 ms slow; `w4` chains of three steps that each make an HTTP request, answered
after 100 ms by a server outside of what is measured; `alone` one chain of three at a time on an
idle system.

Timed: w1, w1i, w2 and w4 from the moment that stopped workers may read a preloaded queue until the
last workflow (or the last result) is recorded; w3 and alone from the start of the submission to the
recorded end. How large a run is, follows from the warm-up: as the load says, or what fits into
`--seconds` at the rate of one that took a second. A ratio is of two runs that followed one another,
and how many times as fast the durable side was; the figure reported is the median of the ratios.

Durable: PostgreSQL with fsync and synchronous_commit on, a row, an event and a commit for every
step; all rows and events are counted afterwards, and a difference is an error. Raw: Celery's own
chain and chord, results in Valkey, all else Celery's default. Both: prefork, the same concurrency,
task events on, logs from WARNING on, one Valkey, the workers of both running and one of them idle.
For `w4` ours are workers of threads, one for each core, as `playalter worker --threads` starts:
what waits for an answer needs no process. They stand beside our prefork worker in every load.

CPU is read from the kernel for the process groups of workers, PostgreSQL and Valkey while a run is
timed; the producer is apart, though not what it asks of PostgreSQL and Valkey where it submits
within that time (w3, alone). Commits (transactions that wrote), WAL and messages include the
submission. Memory is the worker's after the run, shared pages divided among those who share them.

Not compared with anybody (`costs`): what a workflow leaves behind (`storage.py`), what a full
database costs those that run (`growth.py`), the HTTP front alone (`front.py`), a backlog
(`burst.py`), a system that runs already, by its address (`running.py`) and others; each says how
it measures.
"""
