"""Actions without a platform: do nothing, wait, fail; for definitions that test or measure."""

from tasks.control.actions import fail, noop, sleep

ACTIONS = (noop, sleep, fail)
