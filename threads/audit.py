"""What conversations know of money, for the proof in `billing/audit.py`: a turn costs what its line says."""

from billing.audit import Check

# Turns of before there was a ledger have their cost and no line.
TURNS = """
SELECT coalesce(t.finished_at, t.created_at) AS at, l.id AS line,
    format('turn %s: it cost %s, its line says %s', t.id, t.cost_micros, coalesce(l.cost_micros::text, 'nothing: there is none')) AS told
FROM threads_turn t
LEFT JOIN billing_ledgerentry l ON l.source = 'turn:' || t.id
WHERE t.finished_at IS NOT NULL AND t.cost_micros <> coalesce(l.cost_micros, 0) AND (
    l.id IS NOT NULL
    OR EXISTS (SELECT 1 FROM billing_reservation r WHERE r.id = t.id)
    OR t.created_at > (SELECT applied + interval '1 hour' FROM django_migrations WHERE app = 'billing' AND name = '0001_initial')
)
"""

CHECK = Check("each finished turn costs what its line says", TURNS)
