"""The queue workers: the Celery app, thin tasks, and the handlers that do the work."""
