"""Schedules, whose starts go through flow control too."""

from tests.integration.firing.conftest import schedule as schedule
