from django.db import migrations

# A line loses who it was about when an account closes: all of that at once, so that no line leaves a sum or hides its reason.
# An end user, a thread, a turn or an admin may be gone before. Nothing else of a line ever changes.
GUARD = """
CREATE FUNCTION billing_ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    erased billing_ledgerentry := OLD;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.end_user_id IS NULL THEN erased.end_user_id := NULL; END IF;
        IF NEW.thread_id IS NULL THEN erased.thread_id := NULL; END IF;
        IF NEW.turn_id IS NULL THEN erased.turn_id := NULL; END IF;
        IF NEW.actor_id IS NULL THEN erased.actor_id := NULL; END IF;
        IF NEW.user_id IS NULL AND OLD.user_id IS NOT NULL THEN
            erased.user_id := NULL; erased.key_id := NULL; erased.end_user_id := NULL; erased.thread_id := NULL;
            erased.turn_id := NULL; erased.actor_id := NULL; erased.reason := ''; erased.source := 'erased:' || OLD.id;
        END IF;
        IF NEW IS NOT DISTINCT FROM erased THEN RETURN NEW; END IF;
    END IF;
    RAISE EXCEPTION 'the ledger is append-only: line % stays as it was posted', OLD.id USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER billing_ledger_append_only BEFORE UPDATE OR DELETE ON billing_ledgerentry
    FOR EACH ROW EXECUTE FUNCTION billing_ledger_is_append_only();
"""
UNGUARD = """
DROP TRIGGER billing_ledger_append_only ON billing_ledgerentry;
DROP FUNCTION billing_ledger_is_append_only();
"""

# Two counters of one row change with every turn of an account: room on its page keeps those versions out of the indexes.
ROOM = "ALTER TABLE billing_budget SET (fillfactor = 25, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)"


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    operations = [
        migrations.RunSQL(GUARD, UNGUARD),
        migrations.RunSQL(ROOM, "ALTER TABLE billing_budget RESET (fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)"),
    ]
