"""What happens elsewhere and concerns conversations."""

from typing import Any

from django.db import connection
from django.dispatch import receiver

from accounts.models import User
from accounts.signals import account_closing
from threads.attachments import erase_of_account

ERASE_JOURNAL_OF_USER = """
DELETE FROM threads_turnevent e USING threads_turn t JOIN threads_thread th ON th.id = t.thread_id
WHERE th.user_id = %s AND e.ring = t.ring AND e.turn_id = t.id
"""


@receiver(account_closing)
def erase_journal(user: User, **_: Any) -> None:
    """The journal has no foreign key that would take it along with the account."""
    with connection.cursor() as cursor:
        cursor.execute(ERASE_JOURNAL_OF_USER, [user.pk])


@receiver(account_closing)
def erase_files(user: User, **_: Any) -> None:
    erase_of_account(user)
