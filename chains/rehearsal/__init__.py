"""A kit for testing definitions: they run in memory, with fake actions, on a virtual clock.

The engine's own code makes all decisions (chains/running/prepare.py, app/engine/attempt.py,
chains/undoing/frontier.py). Memory replaces PostgreSQL, Valkey and the workers.
"""

from app.errors import Permanent, Retryable, Unknown
from chains.rehearsal.fakes import FakeMissing, Suspends, Takes
from chains.rehearsal.rehearse import Endless, rehearse
from chains.rehearsal.report import Run, StepRun

__all__ = [
    "Endless",
    "FakeMissing",
    "Permanent",
    "Retryable",
    "Run",
    "StepRun",
    "Suspends",
    "Takes",
    "Unknown",
    "rehearse",
]
