"""Durable steps against raw Celery and Restate, in alternating rounds on one machine, after a
warm-up: ours, ours over HTTP (`--over http`), raw Celery, Restate (`--peer restate`), ours, ...

Loads (`comparing/loads.py`), the same on all sides: `w1` chains of three steps that do nothing;
`w1i` the same with an intent recorded for each step (the others have none: their chain is that of
`w1`); `w2` ten steps side by side and their join; `w3` a thousand and their join, once more with
every commit made 2 ms slow; `w4` chains of three steps that each make an HTTP request, answered
after 100 ms by a server outside of what is measured, and declared slow as every AI call is;
`alone` one chain of three at a time on an idle system.

Timed: w1, w1i, w2 and w4 from the moment that stopped workers may read a preloaded queue until the
last workflow (or the last result) is recorded; with `--submitted`, the default with `--over` and
`--peer`, from the start of the submission to a working system. w3 and alone from the start of the
submission to the recorded end. The report says which it was. How large a run is, follows from the
warm-up: as the load says, or what fits into `--seconds` at the rate of one that took a second. A
ratio is of two runs of one round, and how many times as fast the first side was; the figure
reported is the median of the ratios.

Ours: PostgreSQL with fsync and synchronous_commit on, a row and an event for every step, and
its outcome in a flushed commit, which steps that end at the same moment share: as many
processes as `--concurrency` says, with 32 threads each, as the demo starts them; for the steps
of `w4` a process for each core with 250 threads, as 1,000 calls wait at once. Raw: Celery's own
chain and chord, results in Valkey, all else Celery's default, prefork with `--concurrency`
processes. Both: no task events, logs from WARNING on, one Valkey. Restate: one node, its
defaults (so each write to its log is flushed, and its journal is kept for a day), each step a
`ctx.run`; its handlers under hypercorn, a process for each core, set up as its manual says. All
workers and a reconciler run, and those of one side work. All submit without idempotency keys
but ours over HTTP, where the front wants one.

Clients: 8 threads submit to ours and to Restate, over kept connections; one to Celery. The end of
one alone is read from its row (ours), its event stream (over HTTP), its result (Celery), or the
answer to its request (Restate). All others are looked for every 50 ms: in rows, in Valkey, or by
requests for outputs. Afterwards workflows, steps and events are counted: ours in PostgreSQL,
Restate's in its journal (invocations, runs, results of runs). A difference is an error.

CPU (user and system) is read from the kernel for the process groups of workers, servers (the web
front, the reconciler, Restate's server), PostgreSQL and Valkey while a run is timed. The producer,
which submits and waits, is apart, though not what it asks of the servers within that time; what
starting costs ours is the producer's, over HTTP it is the front's. `others` are the cores that all
other processes had meanwhile, the sides that rest and the host (steal) included: a round in which
they had more than `--others` in some run is thrown away and made again, until twice as many rounds
were made as were asked for. If no round was quiet, the report says so.

Commits (transactions that wrote), WAL and messages include the submission. Memory is the workers'
after the run, shared pages divided among those who share them.

Not compared with anybody (`costs`): what a workflow leaves behind (`storage.py`), what a full
database costs those that run (`growth.py`), the HTTP front alone (`front.py`), a backlog
(`burst.py`), a system that runs already, by its address (`running.py`) and others; each says how
it measures.
"""
