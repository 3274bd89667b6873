"""Actions without a platform, for definitions that test or measure: do nothing, sleep or fail."""

from tasks.control.actions import fail, noop, sleep

ACTIONS = (noop, sleep, fail)
