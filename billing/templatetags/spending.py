"""Template tags for money: what is left, the strip of the soft alerts, a key's spend against its cap."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django import template
from django.template.context import RequestContext

from billing import alerts, standing
from billing.standing import Standing

if TYPE_CHECKING:
    from accounts.models import ApiKey, User

register = template.Library()


@register.inclusion_tag("billing/_strip.html", takes_context=True)
def budget_strip(context: RequestContext) -> dict[str, Any]:
    """The alert that the person's budget has reached, unless they closed it; the place for one that comes later."""
    return alerts.strip(context["request"])


@register.simple_tag
def standing_of(user: User) -> Standing:
    return standing.of_account(user)


@register.simple_tag
def standing_of_keys(keys: Iterable[ApiKey]) -> dict[UUID, Standing]:
    return standing.of_keys(keys)


@register.inclusion_tag("billing/_key_cap.html")
def key_cap(standing: Standing | None) -> dict[str, Any]:
    """A key's spend against its cap, with a bar."""
    return {"standing": standing}


@register.inclusion_tag("billing/_spent.html")
def spent_card(refusal: Any) -> dict[str, Any]:
    """The card of a 402 (threads.refusals.unpaid): what is left, and how to get more."""
    stands = Standing(*(refusal.facts[name] for name in ("limit_micros", "spent_micros", "reserved_micros")))
    return {"refusal": refusal, "stands": stands, "can_pay": standing.can_pay()}


@register.filter
def of(by_key: dict[UUID, Standing], key: ApiKey) -> Standing | None:
    return by_key.get(key.pk)
