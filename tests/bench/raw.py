"""The other side: a Celery application as its manual shows it, results in Redis."""

import os

from celery import Celery

app = Celery("raw", broker=os.environ["RAW_REDIS_URL"], backend=os.environ["RAW_RESULTS_URL"])
app.conf.worker_send_task_events = True
app.conf.task_default_queue = "raw"
app.conf.broker_connection_retry_on_startup = True


@app.task
def noop() -> None:
    """Do nothing."""
