"""A kit for testing definitions: it runs them in memory, with fake actions and a virtual clock.

The code that decides is the code of a real run (chains/running/prepare.py, app/engine/attempt.py,
chains/undoing/frontier.py). Memory replaces PostgreSQL, Valkey and the workers.
"""

from app.errors import Permanent, Retryable, Unknown
from chains.rehearsal.arrivals import Begun, Refused, Starts
from chains.rehearsal.fakes import FakeMissing, Suspends, Takes
from chains.rehearsal.rehearse import Endless, rehearse, rehearse_starts
from chains.rehearsal.report import Run, StepRun

__all__ = [
    "Begun",
    "Endless",
    "FakeMissing",
    "Permanent",
    "Refused",
    "Retryable",
    "Run",
    "Starts",
    "StepRun",
    "Suspends",
    "Takes",
    "Unknown",
    "rehearse",
    "rehearse_starts",
]
