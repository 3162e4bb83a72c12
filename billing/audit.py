"""The proof that no micro-dollar is unexplained: the sum of the lines is what the counters say, and each line has its hold.

All checks are one statement, and so one snapshot: turns may be admitted and settled meanwhile. It reads every line; a million
of them take 17 s on two busy cores, so it runs at night (`billing.check_ledger`), by hand (`manage.py check_ledger`) and in
tests, never in a request. Other apps add what they keep of money themselves with `also`.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import connection
from django.utils import timezone

from billing.models import LedgerCheck

logger = logging.getLogger(__name__)

SHOWN = 20  # differences of one check that are told in full
KEPT = timedelta(days=365)
ROUNDING = 16  # micro-dollars: each call of a turn is rounded up by itself, and a line may sum that many


@dataclass(frozen=True, slots=True)
class Check:
    """`sql` gives (at, line, told) for every difference: when it began, the line's id if there is one, and a sentence."""

    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class Difference:
    check: str
    line: UUID | None
    told: str

    def __str__(self) -> str:
        return self.told if self.line is None or str(self.line) in self.told else f"{self.told} (look at line {self.line})"


@dataclass(frozen=True, slots=True)
class Proof:
    """What a check found. `differences` are the first of each kind, the oldest first; `count` is all of them."""

    lines: int
    budgets: int
    seconds: float
    count: int
    differences: list[Difference]

    @property
    def first(self) -> str:
        """The first line that differs; what is wrong with a line comes before what that does to a counter."""
        return str(self.differences[0]) if self.differences else ""


_HELD = """
    SELECT budget, sum(amount_micros) AS held FROM (
        SELECT account_id AS budget, amount_micros FROM billing_reservation WHERE state = 'held'
        UNION ALL SELECT key_id, amount_micros FROM billing_reservation WHERE state = 'held' AND key_id IS NOT NULL
    ) holds GROUP BY budget
"""
# A line of exactly the amount that is missing or too much is most likely the one.
_SUSPECT = """
    (SELECT l.id FROM billing_ledgerentry l WHERE l.{owner} = sums.owner AND {apart} <> 0
        AND l.{figure} = abs({apart}) ORDER BY l.id DESC LIMIT 1)
"""


def _priced(prefix: str) -> str:
    """The cost of a line's tokens by the kinds of its price with that prefix."""
    kinds = ("input", "output", "cache_read", "cache_write")
    each = (f"l.{kind}_tokens * (p.price->>'{prefix}{kind}')::numeric" for kind in kinds)
    return f"ceil({' + '.join(each)})"


def _counters(owner: str, what: str) -> str:
    apart = "coalesce(b.spent_micros, 0) - coalesce(sums.spent, 0)"
    suspect = _SUSPECT.format(owner=owner, apart=apart, figure="cost_micros")
    return f"""
SELECT NULL::timestamptz AS at, {suspect} AS line,
    format('{what} %s: spent is %s, its %s lines sum up to %s', coalesce(b.{owner}, sums.owner),
        coalesce(b.spent_micros::text, 'not counted'), coalesce(sums.lines, 0), coalesce(sums.spent, 0)) AS told
FROM (SELECT * FROM billing_budget WHERE {owner} IS NOT NULL) b
FULL JOIN (
    SELECT {owner} AS owner, sum(cost_micros) AS spent, count(*) AS lines FROM billing_ledgerentry WHERE {owner} IS NOT NULL GROUP BY 1
) sums ON sums.owner = b.{owner}
WHERE coalesce(b.spent_micros, 0) <> coalesce(sums.spent, 0) OR (b.id IS NULL AND sums.spent > 0)
"""


LIMITS = f"""
SELECT NULL::timestamptz AS at,
    {_SUSPECT.format(owner="user_id", apart="coalesce(b.limit_micros, 0) - coalesce(sums.paid, 0)", figure="amount_micros")} AS line,
    format('account %s: the limit is %s, what was credited and taken back sums up to %s', b.user_id,
        coalesce(b.limit_micros::text, 'none (which counts as 0)'), coalesce(sums.paid, 0)) AS told
FROM billing_budget b
LEFT JOIN (
    SELECT user_id AS owner, sum(amount_micros) AS paid FROM billing_ledgerentry WHERE user_id IS NOT NULL GROUP BY 1
) sums ON sums.owner = b.user_id
WHERE b.user_id IS NOT NULL AND coalesce(b.limit_micros, 0) <> coalesce(sums.paid, 0)
"""

HOLDS = f"""
SELECT NULL::timestamptz AS at, NULL::uuid AS line,
    format('%s: %s is reserved, its open holds sum up to %s', CASE WHEN b.id IS NULL THEN 'a budget that is gone'
        WHEN b.user_id IS NULL THEN 'key ' || b.key_id ELSE 'account ' || b.user_id END,
        coalesce(b.reserved_micros, 0), coalesce(h.held, 0)) AS told
FROM billing_budget b FULL JOIN ({_HELD}) h ON h.budget = b.id
WHERE coalesce(b.reserved_micros, 0) <> coalesce(h.held, 0)
"""

# A settled hold is one line, every other hold none; a line of a call has a hold, unless its account was closed.
HOLDS_AND_LINES = """
SELECT coalesce(l.created_at, r.settled_at) AS at, l.id AS line,
    CASE WHEN l.id IS NULL THEN format('hold %s: settled at %s, and there is no line for it', r.id, r.settled_at)
        WHEN r.id IS NULL THEN format('line %s (%s): there is no hold for it', l.id, l.source)
        ELSE format('line %s (%s): its hold is %s', l.id, l.source, r.state) END AS told
FROM billing_reservation r
FULL JOIN (
    SELECT id, source, created_at FROM billing_ledgerentry
    WHERE kind IN ('turn', 'title', 'summary', 'embedding', 'tool') AND source NOT LIKE 'erased:%'
) l ON l.source = r.kind || ':' || r.id
WHERE (l.id IS NULL AND r.state = 'settled') OR (l.id IS NOT NULL AND r.state IS DISTINCT FROM 'settled')
"""

# What the provider counted, times the price that was agreed to; by both tiers where long prompts cost more, because a line may
# sum calls of both. Less is right only for a call that cost more than was held for it: nobody pays more than the hold.
COSTS = f"""
SELECT l.created_at AS at, l.id AS line, format('line %s (%s): %s is charged, its tokens cost %s', l.id, l.source, l.cost_micros,
    CASE WHEN p.id IS NULL THEN 'nothing that is known: its price is not there' WHEN c.low = c.high THEN c.low::text
        ELSE c.low || ' to ' || c.high END) AS told
FROM billing_ledgerentry l
LEFT JOIN billing_priceversion p ON p.id = l.price_version_id
LEFT JOIN billing_reservation r ON l.source = r.kind || ':' || r.id
LEFT JOIN LATERAL (
    SELECT least(short, long) AS low, greatest(short, long) AS high FROM (SELECT {_priced("")} AS short,
        CASE WHEN l.input_tokens + l.cache_read_tokens + l.cache_write_tokens > (p.price->>'long_above')::bigint
            THEN {_priced("long_")} END AS long) tiers
) c ON true
WHERE l.price_version_id IS NOT NULL AND (
    c.low IS NULL OR l.cost_micros > c.high + {ROUNDING}
    OR (l.cost_micros < c.low AND l.cost_micros < coalesce(r.amount_micros, c.low) AND l.source NOT LIKE 'erased:%')
)
"""

_checks = [
    Check("each settled hold has one line, and each line of a call its hold", HOLDS_AND_LINES),
    Check("each line costs what its tokens cost", COSTS),
    Check("what accounts have spent is the sum of their lines", _counters("user_id", "account")),
    Check("what keys have spent is the sum of their lines", _counters("key_id", "key")),
    Check("the limits of accounts are what was credited and taken back", LIMITS),
    Check("what is reserved is the sum of the open holds", HOLDS),
]


def also(check: Check) -> None:
    """Prove this too, before the counters."""
    if check not in _checks:
        _checks.insert(0, check)


def checks() -> list[str]:
    return [check.name for check in _checks]


def prove() -> Proof:
    """Compare everything with everything, in one snapshot. Changes nothing."""
    parts = [
        f"(SELECT {rank}, at, line, told, count(*) OVER () FROM ({check.sql}) found ORDER BY at, line LIMIT {SHOWN})"
        for rank, check in enumerate(_checks)
    ]
    parts += [
        f"(SELECT {-rank}, NULL, NULL, NULL, count(*) FROM {table})" for rank, table in ((1, "billing_ledgerentry"), (2, "billing_budget"))
    ]
    began = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts))
        rows = sorted(cursor.fetchall(), key=lambda row: row[0])
    found = [row for row in rows if row[0] >= 0]
    size = {row[0]: row[4] for row in rows}
    return Proof(
        lines=size[-1],
        budgets=size[-2],
        seconds=time.monotonic() - began,
        count=sum({rank: count for rank, _, _, _, count in found}.values()),
        differences=[Difference(_checks[rank].name, line, told) for rank, _, line, told, _ in found],
    )


def check() -> Proof:
    """Prove, remember the outcome for the admin and /metrics, and say loudly what differs."""
    proof = prove()
    LedgerCheck.objects.create(lines=proof.lines, budgets=proof.budgets, seconds=proof.seconds, differences=proof.count, first=proof.first)
    LedgerCheck.objects.filter(checked_at__lt=timezone.now() - KEPT).delete()
    if proof.count:
        logger.error("the ledger does not add up: %d differences, the first: %s", proof.count, proof.first)
    return proof
