import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import search.models

# Letters with marks, and what is written where a keyboard has none. One for one, so that places in a text stay where they are.
MARKED = (
    "ÀÁÂÃÄÅÇÈÉÊËÌÍÎÏÑÒÓÔÕÖÙÚÛÜÝàáâãäåçèéêëìíîïñòóôõöùúûüýÿĀāĂăĄąĆćĈĉĊċČčĎďĒēĔĕĖėĘęĚěĜĝĞğĠġĢģĤĥĨĩĪīĬĭĮįİĴĵĶķĹĺĻļĽľŃń"
    "ŅņŇňŌōŎŏŐőŔŕŖŗŘřŚśŜŝŞşŠšŢţŤťŨũŪūŬŭŮůŰűŲųŴŵŶŷŸŹźŻżŽžḀḁḂḃḄḅḆḇḈḉḊḋḌḍḎḏḐḑḒḓḔḕḖḗḘḙḚḛḜḝḞḟḠḡḢḣḤḥḦḧḨḩḪḫḬḭḮḯḰḱḲḳḴḵḶḷḸḹḺ"
    "ḻḼḽḾḿṀṁṂṃṄṅṆṇṈṉṊṋṌṍṎṏṐṑṒṓṔṕṖṗṘṙṚṛṜṝṞṟṠṡṢṣṤṥṦṧṨṩṪṫṬṭṮṯṰṱṲṳṴṵṶṷṸṹṺṻṼṽṾṿẀẁẂẃẄẅẆẇẈẉẊẋẌẍẎẏẐẑẒẓẔẕẖẗẘẙẠạẢảẤấẦầẨẩẪẫẬậẮ"
    "ắẰằẲẳẴẵẶặẸẹẺẻẼẽẾếỀềỂểỄễỆệỈỉỊịỌọỎỏỐốỒồỔổỖỗỘộỚớỜờỞởỠỡỢợỤụỦủỨứỪừỬửỮữỰựỲỳỴỵỶỷỸỹøØłŁđĐı’"
)
PLAIN = (
    "AAAAAACEEEEIIIINOOOOOUUUUYaaaaaaceeeeiiiinooooouuuuyyAaAaAaCcCcCcCcDdEeEeEeEeEeGgGgGgGgHhIiIiIiIiIJjKkLlLlLlNn"
    "NnNnOoOoOoRrRrRrSsSsSsSsTtTtUuUuUuUuUuUuWwYyYZzZzZzAaBbBbBbCcDdDdDdDdDdEeEeEeEeEeFfGgHhHhHhHhHhIiIiKkKkKkLlLlL"
    "lLlMmMmMmNnNnNnNnOoOoOoOoPpPpRrRrRrRrSsSsSsSsSsTtTtTtTtUuUuUuUuUuVvVvWwWwWwWwWwXxXxYyZzZzZzhtwyAaAaAaAaAaAaAaA"
    "aAaAaAaAaEeEeEeEeEeEeEeEeIiIiOoOoOoOoOoOoOoOoOoOoOoOoUuUuUuUuUuUuUuYyYyYyYyoOlLdDi'"
)

# What makes one word of several to PostgreSQL (settings.py, 2026-11-20, git/hooks) is taken apart, so that each can be found.
FOLD = f"""
CREATE FUNCTION search_fold(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT regexp_replace(translate($1, '{MARKED}', '{PLAIN.replace("'", "''")}'), '(?<=[[:alnum:]])[._/:@\\\\-](?=[[:alnum:]])', ' ', 'g')
$$
"""

# Another version of a question takes messages off the path, switching brings them back: the index follows in the same transaction,
# whoever did it.
FOLLOW = """
CREATE FUNCTION search_follow_path() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE search_passage SET on_path = NEW.on_path WHERE message_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER search_follows_path AFTER UPDATE OF on_path ON threads_message
    FOR EACH ROW WHEN (OLD.on_path IS DISTINCT FROM NEW.on_path) EXECUTE FUNCTION search_follow_path();
"""
UNFOLLOW = "DROP TRIGGER search_follows_path ON threads_message; DROP FUNCTION search_follow_path();"

# An owner's vectors are read one after another: they stay in the row, and long texts go out of the way.
STORAGE = """
ALTER TABLE search_passage ALTER vector SET STORAGE PLAIN;
ALTER TABLE search_passage SET (toast_tuple_target = 1280, autovacuum_vacuum_scale_factor = 0.05);
"""
NEIGHBOURS = """
CREATE INDEX passage_vectors_large ON search_passage USING hnsw (vector halfvec_ip_ops) WHERE large
"""


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0003_user_side_calls'),
        ('threads', '0010_outbox'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL('CREATE EXTENSION IF NOT EXISTS vector', migrations.RunSQL.noop),
        migrations.RunSQL(FOLD, 'DROP FUNCTION search_fold(text)'),
        migrations.CreateModel(
            name='LargeOwner',
            fields=[
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to=settings.AUTH_USER_MODEL)),
                ('since', models.DateTimeField(default=django.utils.timezone.now)),
                ('ready', models.BooleanField(default=False, help_text='All of its passages are in the indexes.')),
            ],
        ),
        migrations.CreateModel(
            name='Generation',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('model', models.CharField(help_text='Name of the embedding model; vectors of two models cannot be compared.', max_length=200)),
                ('state', models.CharField(choices=[('filling', 'Being filled'), ('serving', 'Answers'), ('retired', 'Replaced')], default='filling', max_length=7)),
                ('filled_to', models.UUIDField(blank=True, help_text='The last message that the filling has come to, in the order of ids.', null=True)),
                ('messages_done', models.BigIntegerField(default=0, help_text='Messages that the filling has passed.')),
                ('messages_total', models.BigIntegerField(default=0, help_text='Messages there were when the filling began.')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('filled_at', models.DateTimeField(blank=True, help_text='When the words of all messages were in it.', null=True)),
                ('serving_at', models.DateTimeField(blank=True, null=True)),
                ('retired_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(models.F('state'), condition=models.Q(('state', 'serving')), name='generation_one_serving'), models.UniqueConstraint(models.F('state'), condition=models.Q(('state', 'filling')), name='generation_one_filling'), models.CheckConstraint(condition=models.Q(('state__in', ['filling', 'serving', 'retired'])), name='generation_state_known')],
            },
        ),
        migrations.CreateModel(
            name='Passage',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('number', models.SmallIntegerField(help_text='Place among the passages of its message, from 0.')),
                ('passages', models.SmallIntegerField(help_text='How many passages its message has.')),
                ('thread_id', models.UUIDField()),
                ('turn_id', models.UUIDField()),
                ('key_id', models.UUIDField(null=True)),
                ('end_user_id', models.CharField(max_length=255, null=True)),
                ('role', models.CharField(max_length=9)),
                ('model', models.CharField(max_length=100)),
                ('sent_at', models.DateTimeField(help_text='When the message was sent.')),
                ('on_path', models.BooleanField(help_text='As its message; a trigger of the database keeps it so.')),
                ('language', models.CharField(help_text="PostgreSQL's text search configuration.", max_length=12)),
                ('text', models.TextField()),
                ('words', django.contrib.postgres.search.SearchVectorField()),
                ('vector', search.models.HalfVectorField(help_text='Of length 1. Empty until the embedder came to it.', null=True)),
                ('due_at', models.DateTimeField(default=django.utils.timezone.now, help_text='When the embedder takes it; empty when it has.', null=True)),
                ('tries', models.SmallIntegerField(db_default=0, default=0)),
                ('large', models.BooleanField(db_default=False, default=False, help_text='Of an owner with so many passages that indexes pay.')),
                ('indexed_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('generation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='passages', to='search.generation')),
                ('message', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='threads.message')),
                ('user', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(models.F('user'), models.F('generation'), models.F('language'), name='passage_of_owner'), models.Index(models.F('user'), models.F('thread_id'), models.F('generation'), name='passage_of_thread'), models.Index(models.F('due_at'), condition=models.Q(('due_at__isnull', False)), name='passage_due'), django.contrib.postgres.indexes.GinIndex(condition=models.Q(('large', True)), fields=['words'], name='passage_words_large')],
                'constraints': [models.UniqueConstraint(models.F('message'), models.F('generation'), models.F('number'), name='passage_once'), models.CheckConstraint(condition=models.Q(('number__gte', 0), ('passages__gt', models.F('number'))), name='passage_number_sane')],
            },
        ),
        migrations.RunSQL(STORAGE, migrations.RunSQL.noop),
        migrations.RunSQL(NEIGHBOURS, 'DROP INDEX passage_vectors_large'),
        migrations.RunSQL(FOLLOW, UNFOLLOW),
    ]
