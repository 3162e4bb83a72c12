from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0005_stripe'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='ledgerentry',
            index=models.Index(models.F('key_id'), models.OrderBy(models.F('created_at'), descending=True), name='ledger_of_key'),
        ),
    ]
