"""Everything that belongs to Celery: the application, its messages, workers and task events."""
