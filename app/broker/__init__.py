"""All that is Celery's: the application, its messages, workers and events."""
