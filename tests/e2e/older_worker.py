"""A worker of an older release, which knows every action but one: `-A tests.e2e.older_worker`."""

from app.engine.engine import Engine
from chains.actions import actions
from chains.worker import celery_app as newer_app
from chains.worker import engine as newer

NEW = "control.sleep"

for name in actions():
    for task in (name, f"{name}~undo"):
        newer_app.tasks.pop(task, None)

celery_app = newer_app
engine = Engine({name: each for name, each in actions().items() if name != NEW}, newer.order)
engine.register(celery_app)
