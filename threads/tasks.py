"""Background jobs: thin wrappers that take ids and are silent when the row is gone."""

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from threads import approvals, cleaning, holds, titles
from threads.models import Thread

LATE = timedelta(seconds=30)


@shared_task(name="threads.name_thread")
def name_thread(thread_id: str) -> None:
    titles.name_thread(thread_id)


@shared_task(name="threads.name_forgotten")
def name_forgotten() -> None:
    """Titles whose job was lost on the way."""
    due = Thread.objects.filter(title_due=True, last_active_at__lt=timezone.now() - LATE)
    for thread_id in due.values_list("pk", flat=True)[:100]:
        titles.name_thread(str(thread_id))


@shared_task(name="threads.clean")
def clean() -> None:
    cleaning.purge_deleted()
    cleaning.purge_deleted_turns()
    cleaning.empty_rings()
    cleaning.forget_runners()


@shared_task(name="threads.free_holds")
def free_holds() -> None:
    holds.free_lost()


@shared_task(name="threads.expire_approvals")
def expire_approvals() -> None:
    approvals.expire()
