"""SQL that moves money: parts lent to the statements that admit and finish a turn, and whole statements for everything else.

Locks are taken in one order everywhere: the thread, the turn, the hold, the account's budget, the key's budget. Each CTE names the
one before it, which is what makes PostgreSQL run them in that order. FOR NO KEY UPDATE reads the newest committed version of a
budget, and the UPDATE behind it goes on from that same version, so that no two holds ever count on the same money.

`ask` says what is wanted: hold_id, user_id, key_id, tokens (of input), max_tokens (of output), fewest (the least output worth
asking for), before (micros that the hold has already) and so_far (micros that earlier calls of the turn have cost).
"""

# LEAST passes over what is empty, and what is left of an unlimited budget is empty.
# A hold shrinks to what both gates have left, and the output with it, down to `fewest`; below that `micros` is empty and nothing
# is held.
_GATES = """account AS MATERIALIZED (
    SELECT b.id, b.limit_micros, b.spent_micros, b.reserved_micros FROM billing_budget b, ask
    WHERE b.user_id = ask.user_id FOR NO KEY UPDATE OF b
), cap AS MATERIALIZED (
    SELECT b.id, b.limit_micros, b.spent_micros, b.reserved_micros FROM account, ask, billing_budget b
    WHERE b.key_id = ask.key_id FOR NO KEY UPDATE OF b
), bill AS MATERIALIZED (
    SELECT bill.*,
        CASE WHEN most >= least_micros AND account_id IS NOT NULL AND (key_id IS NULL OR cap_id IS NOT NULL) THEN most END AS micros,
        CASE WHEN most = whole THEN max_tokens
            ELSE least(max_tokens, floor((most - fixed) / nullif(%(output_rate)s::numeric, 0)))::int END AS output
    FROM (
        SELECT ask.*, least(whole, account.limit_micros - account.spent_micros - account.reserved_micros + before,
                cap.limit_micros - cap.spent_micros - cap.reserved_micros + before) AS most,
            ceil(fixed + fewest * %(output_rate)s::numeric)::bigint AS least_micros, account.id AS account_id, cap.id AS cap_id,
            account.limit_micros AS account_limit, account.spent_micros AS account_spent, account.reserved_micros AS account_reserved,
            cap.limit_micros AS cap_limit, cap.spent_micros AS cap_spent, cap.reserved_micros AS cap_reserved
        FROM (
            SELECT ask.*, so_far + tokens * %(input_rate)s::numeric AS fixed,
                ceil(so_far + tokens * %(input_rate)s::numeric + max_tokens * %(output_rate)s::numeric)::bigint AS whole
            FROM ask
        ) ask LEFT JOIN account ON true LEFT JOIN cap ON true
    ) bill
)"""

# Behind a CTE `granted`: `bill` where something is held. Both rows are locked by then, so one UPDATE may take them in any order.
_TAKE = """taken AS (
    UPDATE billing_budget b SET reserved_micros = b.reserved_micros + granted.micros - granted.before
    FROM granted WHERE b.id = ANY (ARRAY[granted.account_id, granted.cap_id])
)"""

_HOLD = """INSERT INTO billing_reservation (id, kind, account_id, key_id, amount_micros, max_tokens, input_tokens, context_tokens,
        price_version_id, state, lease_until, created_at)
    SELECT hold_id, %(hold_kind)s, account_id, cap_id, micros, output, tokens, tokens, %(price_version)s, 'held',
        now() + %(hold_lease)s::interval, now()
    FROM granted"""

# The fields of `gates.Grant`; ends the statement.
GRANT = """bill.micros, bill.output, bill.least_micros, bill.key_id, bill.account_id, bill.cap_id,
    bill.account_limit, bill.account_spent, bill.account_reserved, bill.cap_limit, bill.cap_spent, bill.cap_reserved
FROM (SELECT 1) one LEFT JOIN bill ON true"""

# For the statement that admits a turn: behind its CTE `wanted` (id, key_id, parent_id) what may be held for it, and behind its CTE
# `granted` the hold itself. The hold of the turn before knows how long the conversation can be by now.
ADMIT_GATES = f"""ask AS MATERIALIZED (
    SELECT wanted.id AS hold_id, %(user)s::uuid AS user_id, wanted.key_id, least(%(most_input)s::int, %(input_tokens)s::int
            + coalesce((SELECT r.context_tokens FROM billing_reservation r WHERE r.id = wanted.parent_id), 0)) AS tokens,
        %(max_tokens)s::int AS max_tokens, %(fewest)s::int AS fewest, 0::bigint AS before, 0::bigint AS so_far
    FROM wanted
), {_GATES}"""
ADMIT_HOLD = f"{_TAKE}, hold AS ({_HOLD})"

# A hold, new or in place of the one there is: what that one holds counts as left. Behind a CTE `asker` with the id of the hold as long
# as whoever asks may change it; without a row nothing changes. Neither does it when both gates together have not enough, or when
# the hold is a line already.
RESERVE_PARTS = f"""old AS MATERIALIZED (
    SELECT r.state, CASE WHEN r.state = 'held' THEN r.amount_micros ELSE 0 END AS micros
    FROM billing_reservation r, asker WHERE r.id = asker.id FOR UPDATE OF r
), ask AS MATERIALIZED (
    SELECT asker.id AS hold_id, %(user)s::uuid AS user_id, %(key)s::uuid AS key_id, %(input_tokens)s::int AS tokens,
        %(max_tokens)s::int AS max_tokens, %(fewest)s::int AS fewest, coalesce((SELECT micros FROM old), 0)::bigint AS before,
        %(so_far)s::bigint AS so_far
    FROM asker WHERE NOT EXISTS (SELECT 1 FROM old WHERE state = 'settled')
), {_GATES}, granted AS (SELECT * FROM bill WHERE micros IS NOT NULL), {_TAKE}, version AS (
    INSERT INTO billing_priceversion (id, model, price, created_at) VALUES (%(price_version)s, %(model)s, %(price)s, now())
    ON CONFLICT (id) DO NOTHING
), hold AS (
    {_HOLD}
    ON CONFLICT (id) DO UPDATE SET amount_micros = excluded.amount_micros, max_tokens = excluded.max_tokens,
        input_tokens = excluded.input_tokens, context_tokens = excluded.context_tokens, state = 'held',
        lease_until = excluded.lease_until, settled_at = NULL
)
SELECT {GRANT}
"""

# Of a call beside the turns, whose hold nobody else knows.
RESERVE = f"WITH asker AS MATERIALIZED (SELECT %(hold)s::uuid AS id), {RESERVE_PARTS}"

# `ended` says what is over: hold_id, user_id, key_id, end_user_id, thread_id, turn_id.
_SETTLE = """settled AS (
    UPDATE billing_reservation r SET state = CASE WHEN %(asked)s THEN 'settled' ELSE 'released' END, settled_at = now(),
        context_tokens = coalesce(%(context_tokens)s::int, r.context_tokens)
    FROM ended WHERE r.id = ended.hold_id AND r.state = 'held'
    RETURNING r.id, r.kind, r.account_id, r.key_id, r.amount_micros, r.price_version_id
), paid AS (
    UPDATE billing_budget b SET reserved_micros = b.reserved_micros - settled.amount_micros, spent_micros = b.spent_micros + %(cost)s
    FROM settled WHERE b.id = settled.account_id RETURNING b.id
), paid_of_key AS (
    UPDATE billing_budget b SET reserved_micros = b.reserved_micros - settled.amount_micros, spent_micros = b.spent_micros + %(cost)s
    FROM settled, paid WHERE b.id = settled.key_id
), line AS (
    INSERT INTO billing_ledgerentry (id, kind, source, user_id, key_id, end_user_id, thread_id, turn_id, provider, model,
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, estimated, price_version_id, cost_micros, amount_micros,
        reason, created_at)
    SELECT %(line)s, settled.kind, settled.kind || ':' || settled.id, ended.user_id, ended.key_id, ended.end_user_id, ended.thread_id,
        ended.turn_id, %(provider)s, %(model)s, %(input_tokens)s, %(output_tokens)s, %(cache_read_tokens)s, %(cache_write_tokens)s,
        %(estimated)s, settled.price_version_id, %(cost)s, 0, '', now()
    FROM settled, ended WHERE %(asked)s
)"""

# For the statement that finishes a turn, behind its CTEs `turn` (id, key_id) and `thread` (id, user_id, end_user_id).
FINISH_PARTS = f"""ended AS MATERIALIZED (
    SELECT turn.id AS hold_id, thread.user_id, turn.key_id, thread.end_user_id, thread.id AS thread_id, turn.id AS turn_id
    FROM turn, thread
), {_SETTLE}"""

# For a statement that settles a call beside the turns, behind a CTE `first` of one row: what it locks is locked before the money.
SETTLE_PARTS = f"""ended AS MATERIALIZED (
    SELECT %(hold)s::uuid AS hold_id, %(user)s::uuid AS user_id, %(key)s::uuid AS key_id, %(end_user)s::text AS end_user_id,
        %(thread)s::uuid AS thread_id, %(turn)s::uuid AS turn_id
    FROM first
), {_SETTLE}"""

SETTLE = f"WITH first AS (SELECT 1), {SETTLE_PARTS} SELECT count(*) FROM settled"

FREE = """
WITH freed AS (
    UPDATE billing_reservation r SET state = %(state)s, settled_at = now() WHERE r.id = %(hold)s AND r.state = 'held'
    RETURNING r.account_id, r.key_id, r.amount_micros
), account AS (
    UPDATE billing_budget b SET reserved_micros = b.reserved_micros - freed.amount_micros
    FROM freed WHERE b.id = freed.account_id RETURNING b.id
), cap AS (
    UPDATE billing_budget b SET reserved_micros = b.reserved_micros - freed.amount_micros
    FROM freed, account WHERE b.id = freed.key_id
)
SELECT count(*) FROM freed
"""
