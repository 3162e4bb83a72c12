"""The `worker` process: `celery -A chatai worker -B`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatai.settings")

app = Celery("chatai")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
