"""Soft alerts: at 50, 80 and 100 % of what an account or a key may spend, once each, by mail and in the page.

An account's come within a minute. Keys are many, those of an app's end users: their owner gets one mail an hour at most, about all
of them. The personal key has none, because its cap goes with the account's limit.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.conf import settings
from django.core.mail import send_mail
from django.db import connection
from django.http import HttpRequest
from django.template.loader import render_to_string

from accounts.models import ApiKey, User
from billing import standing
from billing.models import Budget

if TYPE_CHECKING:
    from billing.standing import Standing

logger = logging.getLogger(__name__)

COOKIE = "budget_alert"  # of the strip that was closed: its level and the limit it was about
COOKIE_SECONDS = 60 * 60 * 24 * 365
NAMED = 20  # keys in a mail

# Finds every budget whose level is not the one that was told last, and notes the new one: a higher one is to be told, a lower
# one (the limit was raised) arms the alerts again. Rows that somebody writes at the moment are left to the next time: whoever
# never waits stands in nobody's way. Without an index, because one over what is spent would be written with every answer.
TAKE = """
WITH reached AS (
    SELECT b.id, b.alerted_percent AS told, now.level FROM billing_budget b, LATERAL (
        SELECT CASE WHEN b.spent_micros >= b.limit_micros THEN 100 WHEN b.spent_micros * 100 >= b.limit_micros * 80 THEN 80
            WHEN b.spent_micros * 100 >= b.limit_micros * 50 THEN 50 ELSE 0 END AS level
    ) AS now
    WHERE {whose} AND b.spent_micros > 0 AND coalesce(now.level, 0) <> b.alerted_percent
    FOR UPDATE OF b SKIP LOCKED
)
UPDATE billing_budget b SET alerted_percent = coalesce(reached.level, 0) FROM reached
WHERE b.id = reached.id RETURNING coalesce(b.user_id, b.key_id), reached.told, b.alerted_percent
"""
ACCOUNTS = TAKE.format(whose="b.user_id IS NOT NULL")
KEYS = TAKE.format(whose="b.key_id IN (SELECT k.id FROM accounts_apikey k WHERE NOT k.personal AND k.revoked_at IS NULL)")


@dataclass(frozen=True, slots=True)
class Alert:
    of: UUID  # the account or the key
    level: int


def take(whose: str = ACCOUNTS) -> list[Alert]:
    """The alerts that are due of ACCOUNTS or KEYS, each given out once however many processes ask."""
    with connection.cursor() as cursor:
        cursor.execute(whose)
        return [Alert(of, level) for of, told, level in cursor.fetchall() if level > told]


def send_due() -> int:
    """Mail whoever reached a level since the last time; how many mails. One that the mail server refused is due again."""
    sent = 0
    for alert in take():
        user = User.objects.filter(pk=alert.of, is_active=True).first()
        if user is None:
            continue
        about = {"level": alert.level, "standing": standing.of_account(user), "can_pay": standing.can_pay()}
        if _mailed(user, "alert", about):
            sent += 1
        else:
            Budget.objects.filter(user=user, alerted_percent=alert.level).update(alerted_percent=0)
    return sent


def send_due_of_keys() -> int:
    """Mail whoever owns keys that reached a level since the last time, one mail for all of theirs; how many mails."""
    levels = {alert.of: alert.level for alert in take(KEYS)}
    keys_of: dict[User, list[ApiKey]] = defaultdict(list)
    for key in ApiKey.objects.filter(pk__in=levels, user__is_active=True).select_related("user"):
        keys_of[key.user].append(key)
    sent = 0
    for user, keys in keys_of.items():
        keys.sort(key=lambda key: (-levels[key.pk], key.name))
        stands = standing.of_keys(keys[:NAMED])
        told = [(key, levels[key.pk], stands[key.pk]) for key in keys[:NAMED]]
        if _mailed(user, "key_alert", {"told": told, "count": len(keys), "more": len(keys) - len(told)}):
            sent += 1
        else:
            Budget.objects.filter(key__in=keys).update(alerted_percent=0)
    return sent


def _mailed(user: User, template: str, about: dict[str, Any]) -> bool:
    """Whether the mail server took it; one that it refused is due again."""
    about = {**about, "user": user, "site_name": settings.SITE_NAME, "site_url": settings.SITE_URL}
    subject = " ".join(render_to_string(f"billing/mail/{template}_subject.txt", about).split())
    try:
        send_mail(f"[{settings.SITE_NAME}] {subject}", render_to_string(f"billing/mail/{template}.txt", about), None, [user.email])
    except OSError as error:  # it is away, or says no (smtplib's errors are of this kind)
        logger.warning("no mail about a budget of %s: %s", user.pk, type(error).__name__)
        return False
    return True


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
