from importlib import import_module

from django.db import migrations, models

LETTERS = import_module("search.migrations.0001_initial")

# To look for each letter of a text among all of those above takes a hundred times what the rest does: only the text's own are looked
# for, of a text that has any. It gives what it gave before, so that what is in the index stays right.
FOLD = """
CREATE OR REPLACE FUNCTION search_fold(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT regexp_replace(
        CASE WHEN octet_length($1) = length($1) THEN $1
            ELSE (SELECT translate($1, own, translate(own, %s, %s))
                FROM (SELECT regexp_replace($1, '[^À-žḀ-ỹ’]+', '', 'g') AS own OFFSET 0) letters) END,
        '(?<=[[:alnum:]])[._/:@\\-](?=[[:alnum:]])', ' ', 'g')
$$
"""
# Made with more care than by default (64): searches with half the effort then miss less.
NEIGHBOURS = """
DROP INDEX passage_vectors_large;
CREATE INDEX passage_vectors_huge ON search_passage USING hnsw (vector halfvec_ip_ops) WITH (ef_construction = 200) WHERE huge
"""
NEIGHBOURS_BEFORE = """
DROP INDEX passage_vectors_huge;
CREATE INDEX passage_vectors_large ON search_passage USING hnsw (vector halfvec_ip_ops) WHERE large
"""


class Migration(migrations.Migration):
    dependencies = [("search", "0001_initial")]
    operations = [
        migrations.RunSQL([(FOLD, [LETTERS.MARKED, LETTERS.PLAIN])], migrations.RunSQL.noop),
        migrations.AddField(
            "passage",
            "huge",
            models.BooleanField(
                db_default=False, default=False, help_text="Of an owner with so many that one of neighbours pays."
            ),
        ),
        migrations.AlterField(
            "passage",
            "large",
            models.BooleanField(
                db_default=False, default=False, help_text="Of an owner with so many that an index of words pays."
            ),
        ),
        migrations.AddField(
            "largeowner",
            "huge",
            models.BooleanField(
                db_default=False, default=False, help_text="So many that neighbours, too, are found by index."
            ),
        ),
        migrations.AddField(
            "largeowner",
            "huge_ready",
            models.BooleanField(
                db_default=False, default=False, help_text="All of its passages are in that, too."
            ),
        ),
        migrations.AlterField(
            "largeowner",
            "ready",
            models.BooleanField(default=False, help_text="All of its passages are in the index of words."),
        ),
        migrations.RunSQL(NEIGHBOURS, NEIGHBOURS_BEFORE),
    ]
