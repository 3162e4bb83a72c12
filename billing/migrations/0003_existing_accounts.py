from django.conf import settings
from django.db import migrations

# Accounts that were there before there were budgets. What they spent until then is on their turns, not in the ledger.
ACCOUNTS = """
INSERT INTO billing_budget (user_id, limit_micros, spent_micros, reserved_micros, alerted_percent, changed_at)
SELECT u.id, CASE WHEN u.is_staff OR u.is_superuser OR EXISTS (
    SELECT 1 FROM accounts_apikey k WHERE k.user_id = u.id AND k.scope = 'admin' AND k.max_spend_micros IS NULL AND k.revoked_at IS NULL
) THEN NULL ELSE %s END, 0, 0, 0, now()
FROM accounts_user u
ON CONFLICT DO NOTHING
"""
LINES = """
INSERT INTO billing_ledgerentry (id, kind, source, user_id, provider, model, input_tokens, output_tokens, cache_read_tokens,
    cache_write_tokens, estimated, cost_micros, amount_micros, reason, created_at)
SELECT gen_random_uuid(), 'credit', 'account:' || b.user_id, b.user_id, '', '', 0, 0, 0, 0, false, 0, b.limit_micros, 'Account', now()
FROM billing_budget b WHERE b.user_id IS NOT NULL AND b.limit_micros > 0
ON CONFLICT DO NOTHING
"""
KEYS = """
INSERT INTO billing_budget (key_id, limit_micros, spent_micros, reserved_micros, alerted_percent, changed_at)
SELECT k.id, k.max_spend_micros, 0, 0, 0, now() FROM accounts_apikey k
ON CONFLICT DO NOTHING
"""


def open_budgets(apps, editor):
    with editor.connection.cursor() as cursor:
        cursor.execute(ACCOUNTS, [int(settings.NEW_USER_BUDGET_USD * 1_000_000)])
        cursor.execute(LINES)
        cursor.execute(KEYS)


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_append_only"), ("accounts", "0003_user_side_calls")]

    operations = [migrations.RunPython(open_budgets, migrations.RunPython.noop)]
