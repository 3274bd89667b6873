"""A worker of an older release, to which one action's input looked otherwise:
`-A tests.e2e.differing_worker`."""

from dataclasses import replace

from app.engine.engine import Engine
from app.platform import ActionInput
from chains.actions import actions
from chains.worker import celery_app as newer_app
from chains.worker import engine as newer

CHANGED = "control.sleep"


class OlderInput(ActionInput):
    """It counted in minutes."""

    minutes: float


for name in actions():
    for task in (name, f"{name}~undo"):
        newer_app.tasks.pop(task, None)

celery_app = newer_app
older = replace(actions()[CHANGED], input=OlderInput)
engine = Engine(actions() | {CHANGED: older}, newer.order)
engine.register(celery_app)
