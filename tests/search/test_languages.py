"""A text is indexed in its own language."""

import pytest
from django.db import connection

from search.languages import LANGUAGES, language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How do I get the stain out of my shirt?", "english"),
        ("Wie bekomme ich den Fleck aus dem Hemd und was kann ich tun?", "german"),
        ("Comment est-ce que je peux laver une chemise dans la machine ?", "french"),
        ("¿Cómo puedo lavar la camisa con agua y sin jabón?", "spanish"),
        ("Как это можно сделать и что для этого нужно?", "russian"),
        ("Hoe kan ik de vlek uit het overhemd krijgen en wat is er voor nodig?", "dutch"),
        ("def total(rows): return sum(rows)", "english"),
        ("", "english"),
        ("12:30", "english"),
    ],
)
def test_the_commonest_words_tell(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.django_db
def test_every_language_is_one_that_postgresql_knows() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT cfgname FROM pg_ts_config")
        assert {name for (name,) in cursor.fetchall()} >= set(LANGUAGES)
