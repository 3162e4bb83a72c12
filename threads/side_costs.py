"""What calls beside the turns (titles, summaries) cost is part of what their conversation costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import connection

from billing.side_calls import SideCall, settle_values
from billing.statements import SETTLE_PARTS

# The thread is locked before the money, as by a send.
SETTLE = f"""
WITH thread AS MATERIALIZED (
    SELECT id FROM threads_thread WHERE id = %(thread)s FOR NO KEY UPDATE
), first AS MATERIALIZED (SELECT count(*) FROM thread), {SETTLE_PARTS}, counted AS (
    UPDATE threads_thread th SET cost_micros = th.cost_micros + %(cost)s FROM settled, thread WHERE th.id = thread.id
)
SELECT count(*) FROM settled
"""


def settle(call: SideCall, usage: Mapping[str, Any]) -> int:
    """As `billing.actions.settle_side_call`, and counted in the conversation."""
    values = settle_values(call, usage)
    with connection.cursor() as cursor:
        cursor.execute(SETTLE, values)
    return int(values["cost"])
