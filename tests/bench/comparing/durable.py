"""Our side's worker: `chains.worker` with the actions of the benchmark."""

from tests.bench.comparing import actions

# Before the import that makes a task of each action.
actions.register()

from chains.worker import celery_app  # noqa: E402 - see above

__all__ = ["celery_app"]
