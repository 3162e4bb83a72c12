"""Background jobs: thin wrappers."""

from __future__ import annotations

import logging

from asgiref.sync import async_to_sync
from celery import shared_task

from tools import execution, keeping

logger = logging.getLogger(__name__)


@shared_task(name="tools.keep_connections")
def keep_connections() -> None:
    """Every minute. Whatever takes too long is left to the next run."""
    keeping.follow_settings()
    keeping.forget_links()
    for work in (keeping.renew_tokens, keeping.give_back, keeping.refresh_lists):
        try:
            async_to_sync(work)()
        except TimeoutError:
            logger.warning("%s took too long", work.__name__)


@shared_task(name="tools.forget_direct_calls")
def forget_direct_calls() -> None:
    """Every day."""
    execution.forget()
