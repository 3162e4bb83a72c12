from django.db import migrations

# 0006 made Turn.thread a foreign key without an index of its own, and for that Django drops every index of that column alone: also the
# one behind the constraint that a thread has one running turn. The state of the migrations has it still.
CREATE = """
CREATE UNIQUE INDEX IF NOT EXISTS turn_one_running ON threads_turn (thread_id) WHERE status IN ('running', 'waiting')
"""


class Migration(migrations.Migration):
    dependencies = [("threads", "0013_runner_takes")]
    operations = [migrations.RunSQL(CREATE, migrations.RunSQL.noop)]
