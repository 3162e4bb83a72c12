"""Soft alerts: at 50, 80 and 100 % of an account's budget, once each, by mail and as a strip in the page.

Of accounts only: the keys of an app's ten thousand end users are the app's to watch (`GET /v1/keys/:id/usage`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.conf import settings
from django.core.mail import send_mail
from django.db import connection
from django.http import HttpRequest
from django.template.loader import render_to_string

from accounts.models import User
from billing import standing
from billing.models import Budget

if TYPE_CHECKING:
    from billing.standing import Standing

logger = logging.getLogger(__name__)

COOKIE = "budget_alert"  # of the strip that was closed: its level and the limit it was about
COOKIE_SECONDS = 60 * 60 * 24 * 365

# Finds every account whose level is not the one that was told last, and notes the new one: a higher one is to be told, a lower
# one (the limit was raised) arms the alerts again. Rows that somebody writes at the moment are left to the next time: whoever
# never waits stands in nobody's way. Without an index, because one over what is spent would be written with every answer.
TAKE = """
WITH reached AS (
    SELECT b.id, b.alerted_percent AS told, now.level FROM billing_budget b, LATERAL (
        SELECT CASE WHEN b.spent_micros >= b.limit_micros THEN 100 WHEN b.spent_micros * 100 >= b.limit_micros * 80 THEN 80
            WHEN b.spent_micros * 100 >= b.limit_micros * 50 THEN 50 ELSE 0 END AS level
    ) AS now
    WHERE b.user_id IS NOT NULL AND b.spent_micros > 0 AND coalesce(now.level, 0) <> b.alerted_percent
    FOR UPDATE OF b SKIP LOCKED
)
UPDATE billing_budget b SET alerted_percent = coalesce(reached.level, 0) FROM reached
WHERE b.id = reached.id RETURNING b.user_id, reached.told, b.alerted_percent
"""


@dataclass(frozen=True, slots=True)
class Alert:
    user_id: UUID
    level: int


def take() -> list[Alert]:
    """The alerts that are due, each given out once however many processes ask."""
    with connection.cursor() as cursor:
        cursor.execute(TAKE)
        return [Alert(user_id, level) for user_id, told, level in cursor.fetchall() if level > told]


def send_due() -> int:
    """Mail whoever reached a level since the last time; how many mails. One that the mail server refused is due again."""
    sent = 0
    for alert in take():
        user = User.objects.filter(pk=alert.user_id, is_active=True).first()
        if user is None:
            continue
        try:
            _mail(user, alert.level)
            sent += 1
        except OSError as error:  # the mail server is away, or says no (smtplib's errors are of this kind)
            logger.warning("no mail about the budget of %s: %s", user.pk, type(error).__name__)
            Budget.objects.filter(user=user, alerted_percent=alert.level).update(alerted_percent=0)
    return sent


def _mail(user: User, level: int) -> None:
    stands = standing.of_account(user)
    about = {"user": user, "level": level, "standing": stands, "site_name": settings.SITE_NAME, "can_pay": standing.can_pay()}
    subject = render_to_string("billing/mail/alert_subject.txt", about)
    send_mail(f"[{settings.SITE_NAME}] {' '.join(subject.split())}", render_to_string("billing/mail/alert.txt", about), None, [user.email])


def strip(request: HttpRequest) -> dict[str, Any]:
    """What templates/billing/_strip.html is drawn from."""
    stands = standing.of_account(cast(User, request.user))
    closed = request.COOKIES.get(COOKIE) == mark(stands)
    return {
        "standing": stands,
        "shown": stands.level > 0 and not closed,
        "can_pay": standing.can_pay(),
    }


def mark(stands: Standing) -> str:
    """A strip by what it says; another level or another limit is another strip."""
    return f"{stands.level}-{stands.limit_micros}"
