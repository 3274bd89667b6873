"""Schedules: workflows that start at given times.

A schedule's *spec* says its times: cron in local time, an interval of absolute time, or single
instants (`spec`). From it follow its *nominal* times, in whole seconds of UTC, and a *due* time
for each, which is the nominal time and its jitter (`times`). A run is identified by its nominal
time. All of this is computed: the modules `spec`, `times` and those below them read no clock, no
database and no file but tzdata's.

How the times differ from those of Temporal's schedules, on purpose:
- On the day without 02:30, `30 2 * * *` runs at 03:00; Temporal skips that day. On the day with
  two 01:30, `30 1 * * *` runs once; Temporal runs it twice.
- An expression that could mean times of day or a rhythm, and for which that makes a difference in
  its zone, is refused with both readings (`readings`); Temporal takes the literal clock time.
- An expression has five fields. Seconds are for intervals, years for `starts_at` and `ends_at`.
- A day needs to match day of month *or* day of week if both are given, as in cron; for Temporal
  it needs to match both. `L`, `LW`, `5L` and `MON#2` exist here only (`cron`).
- A spec is one expression, interval or list. Temporal's union of several is several schedules
  here. A calendar of free days can leave out a run, as Temporal's exclusions can, or move it to a
  working day (`calendars`).
- A spec that never fires is refused when it is read.

The same as in Temporal: inclusive bounds; an interval is epoch + n * interval + phase; jitter
comes from a hash of schedule and nominal time and stays below the time to the next nominal time;
searches are bounded.
"""
