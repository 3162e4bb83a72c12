from decimal import Decimal

from django.db import migrations, models

# What could be stored before and is refused now: a wrong price of the cache becomes that of input, and a model of a paid
# provider that was free is taken out of the picker until somebody enters its price.
TAKE_BACK = """
UPDATE threads_catalogmodel SET
    cache_read_price = CASE WHEN cache_read_price BETWEEN 0 AND 100000 THEN cache_read_price END,
    cache_write_price = CASE WHEN cache_write_price BETWEEN 0 AND 100000 THEN cache_write_price END,
    enabled = enabled AND (provider IN ('demo', 'ollama') OR (input_price > 0 AND output_price > 0))
"""


class Migration(migrations.Migration):

    dependencies = [
        ('threads', '0007_retry_hints_file_places_ratings_forks'),
    ]

    operations = [
        migrations.RunSQL(TAKE_BACK, migrations.RunSQL.noop),
        migrations.RemoveConstraint(
            model_name='catalogmodel',
            name='catalog_price_not_negative',
        ),
        migrations.AddField(
            model_name='catalogmodel',
            name='long_above',
            field=models.IntegerField(blank=True, help_text='Tokens of one prompt above which the prices below count; empty: never.', null=True),
        ),
        migrations.AddField(
            model_name='catalogmodel',
            name='long_cache_read_price',
            field=models.DecimalField(blank=True, decimal_places=6, help_text='Empty: as the input of a long prompt.', max_digits=12, null=True),
        ),
        migrations.AddField(
            model_name='catalogmodel',
            name='long_cache_write_price',
            field=models.DecimalField(blank=True, decimal_places=6, help_text='Empty: as the input of a long prompt.', max_digits=12, null=True),
        ),
        migrations.AddField(
            model_name='catalogmodel',
            name='long_input_price',
            field=models.DecimalField(blank=True, decimal_places=6, help_text='For each call with a longer prompt.', max_digits=12, null=True),
        ),
        migrations.AddField(
            model_name='catalogmodel',
            name='long_output_price',
            field=models.DecimalField(blank=True, decimal_places=6, help_text='For each call with a longer prompt.', max_digits=12, null=True),
        ),
        migrations.AddConstraint(
            model_name='catalogmodel',
            constraint=models.CheckConstraint(condition=models.Q(('cache_read_price__gte', 0), ('cache_read_price__lte', Decimal('100000')), ('cache_write_price__gte', 0), ('cache_write_price__lte', Decimal('100000')), ('input_price__gte', 0), ('input_price__lte', Decimal('100000')), ('long_cache_read_price__gte', 0), ('long_cache_read_price__lte', Decimal('100000')), ('long_cache_write_price__gte', 0), ('long_cache_write_price__lte', Decimal('100000')), ('long_input_price__gte', 0), ('long_input_price__lte', Decimal('100000')), ('long_output_price__gte', 0), ('long_output_price__lte', Decimal('100000')), ('output_price__gte', 0), ('output_price__lte', Decimal('100000'))), name='catalog_prices_sane', violation_error_message='A price is between 0 and 100,000 USD per million tokens.'),
        ),
        migrations.AddConstraint(
            model_name='catalogmodel',
            constraint=models.CheckConstraint(condition=models.Q(('enabled', False), ('provider__in', ['demo', 'ollama']), models.Q(('input_price__gt', 0), ('output_price__gt', 0)), _connector='OR'), name='catalog_only_local_free', violation_error_message='A model that is offered has a price.'),
        ),
        migrations.AddConstraint(
            model_name='catalogmodel',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('long_above', None), ('long_input_price', None), ('long_output_price', None)), models.Q(('long_above__gt', 0), ('long_input_price__isnull', False), ('long_output_price__isnull', False)), _connector='OR'), name='catalog_long_prices_complete', violation_error_message='The length, the input and the output price of long prompts go together.'),
        ),
    ]
