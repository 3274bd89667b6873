"""The queues of the broker."""

from app.broker.celery import CONTROL_QUEUE
from tasks import platforms


def queues() -> list[str]:
    """The queue of the steps without a platform, then that of each platform that is used."""
    return [CONTROL_QUEUE, *(platform.name for platform in platforms())]
