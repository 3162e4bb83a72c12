"""What conversations know of money, for the proof in `billing/audit.py`: a turn costs what its line and those of its tools say."""

from billing.audit import Check

# Turns of before there was a ledger have their cost and no line.
TURNS = """
SELECT coalesce(t.finished_at, t.created_at) AS at, l.id AS line,
    format('turn %s: it cost %s (%s of it for tools), its line says %s', t.id, t.cost_micros, coalesce(c.cost, 0),
        coalesce(l.cost_micros::text, 'nothing: there is none')) AS told
FROM threads_turn t
LEFT JOIN billing_ledgerentry l ON l.source = 'turn:' || t.id
LEFT JOIN (
    SELECT turn_id, sum(cost_micros) AS cost FROM threads_toolcall WHERE cost_micros > 0 GROUP BY turn_id
) c ON c.turn_id = t.id
WHERE t.finished_at IS NOT NULL AND t.cost_micros <> coalesce(l.cost_micros, 0) + coalesce(c.cost, 0) AND (
    l.id IS NOT NULL
    OR EXISTS (SELECT 1 FROM billing_reservation r WHERE r.id = t.id)
    OR t.created_at > (SELECT applied + interval '1 hour' FROM django_migrations WHERE app = 'billing' AND name = '0001_initial')
)
"""

CALLS = """
SELECT c.created_at AS at, l.id AS line,
    format('call %s of %s: it cost %s, its line says %s', c.id, c.name, c.cost_micros, coalesce(l.cost_micros::text, 'nothing')) AS told
FROM threads_toolcall c LEFT JOIN billing_ledgerentry l ON l.source = 'tool:' || c.id
WHERE c.cost_micros > 0 AND c.cost_micros IS DISTINCT FROM l.cost_micros
"""

CHECKS = [
    Check("each finished turn costs what its line and those of its tools say", TURNS),
    Check("each priced call of a tool costs what its line says", CALLS),
]
