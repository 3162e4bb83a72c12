import django.contrib.postgres.indexes
import django.utils.timezone
from django.db import migrations, models

# The trigger on UPDATE and DELETE sees rows; TRUNCATE goes past it.
GUARD = """
CREATE FUNCTION billing_ledger_is_never_emptied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: it is never emptied' USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER billing_ledger_never_emptied BEFORE TRUNCATE ON billing_ledgerentry
    FOR EACH STATEMENT EXECUTE FUNCTION billing_ledger_is_never_emptied();
"""
UNGUARD = """
DROP TRIGGER billing_ledger_never_emptied ON billing_ledgerentry;
DROP FUNCTION billing_ledger_is_never_emptied();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0003_existing_accounts'),
    ]

    operations = [
        migrations.RunSQL(GUARD, UNGUARD),
        migrations.AlterModelOptions(name='ledgerentry', options={'verbose_name_plural': 'ledger entries'}),
        migrations.CreateModel(
            name='LedgerCheck',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('checked_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ('seconds', models.FloatField()),
                ('lines', models.BigIntegerField()),
                ('budgets', models.BigIntegerField()),
                ('differences', models.IntegerField(help_text='0: every micro-dollar is explained.')),
                ('first', models.TextField(blank=True, help_text='The first line that differs.')),
            ],
        ),
        migrations.AddIndex(
            model_name='ledgerentry',
            index=django.contrib.postgres.indexes.BrinIndex(models.F('created_at'), autosummarize=True, name='ledger_by_day'),
        ),
        migrations.AddIndex(
            model_name='ledgerentry',
            index=models.Index(models.OrderBy(models.F('created_at'), descending=True), condition=models.Q(('kind__in', ['credit', 'refund', 'adjust', 'subscription', 'dispute'])), name='ledger_payments'),
        ),
        migrations.AddIndex(
            model_name='ledgerentry',
            index=models.Index(models.OrderBy(models.F('created_at'), descending=True), condition=models.Q(('estimated', True)), name='ledger_estimated'),
        ),
    ]
