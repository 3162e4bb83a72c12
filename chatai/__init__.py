"""chatai: the project. Importing it loads the Celery app, so that tasks find their broker."""

from chatai.celery import app as celery_app

__all__ = ["celery_app"]
