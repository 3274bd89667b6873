"""The web server process: gunicorn's threaded worker, changed so that no client holds a thread."""

from web.server.worker import Worker

__all__ = ["Worker"]
