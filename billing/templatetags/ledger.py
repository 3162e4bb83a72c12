"""For the admin: whether the last proof of the ledger held."""

from django import template

from billing.models import LedgerCheck

register = template.Library()


@register.simple_tag
def last_check() -> LedgerCheck | None:
    return LedgerCheck.objects.order_by("-checked_at").first()
