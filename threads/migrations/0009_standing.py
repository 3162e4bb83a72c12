from django.db import migrations

# Volatile: each statement in it sees what is committed by then. In the statement that admits a turn, which waits for the thread's
# lock, a plain subquery would see the thread as it was before the wait.
CREATE = """
CREATE FUNCTION threads_standing(thread uuid, OUT tip uuid, OUT queued bigint) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    tip := (SELECT t.id FROM threads_turn t WHERE t.thread_id = thread AND t.on_path ORDER BY t.number DESC LIMIT 1);
    queued := (SELECT count(*) FROM threads_turn t WHERE t.thread_id = thread AND t.status = 'queued');
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("threads", "0008_catalog_prices")]
    operations = [migrations.RunSQL(CREATE, "DROP FUNCTION threads_standing(uuid)")]
