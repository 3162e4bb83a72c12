"""No model is free by accident: a price is complete and sane at every way in, or nobody can choose the model."""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from accounts.models import User
from billing.price_rules import problems
from threads.actions import Refused, admit_turn
from threads.models import CatalogModel, Turn
from threads.providers import catalog

PRICE = {"input": "3", "output": "15", "cache_read": "0.30", "cache_write": "3.75"}
LONG = {"long_above": "200000", "long_input": "6", "long_output": "22.5", "long_cache_read": "0.60", "long_cache_write": "7.5"}
WRONG = ["-1", "-0.000001", "NaN", "sNaN", "Infinity", "-Infinity", "1e9", "100000.1", "0.0000001", "", "free", "1,5", 0.1, True]
FIELDS = ("input_price", "output_price", "cache_read_price", "cache_write_price", "long_input_price", "long_output_price")


def row(**fields: Any) -> CatalogModel:
    """A model of a provider that sends bills."""
    given = {"slug": "paid", "label": "Paid", "provider": "anthropic", "upstream": "paid", "context_window": 1000, "default_max_tokens": 10}
    return CatalogModel(**given | {"input_price": Decimal(3), "output_price": Decimal(15)} | fields)


def test_a_complete_price_has_no_problem() -> None:
    assert problems(PRICE, "anthropic") == []
    assert problems(PRICE | LONG, "openai") == []
    assert problems(dict.fromkeys(PRICE, "0"), "ollama") == problems(dict.fromkeys(PRICE, "0.000000"), "demo") == []


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("kind", [*PRICE, "long_input", "long_cache_write"])
def test_what_cannot_be_charged_is_refused_with_a_sentence(kind: str, wrong: object) -> None:
    for provider in ("anthropic", "ollama"):
        found = problems(PRICE | LONG | {kind: wrong}, provider)
        assert len(found) == 1
        assert re.fullmatch(r"The price of .+ (is|has) .+\.", found[0])


@pytest.mark.parametrize("kind", PRICE)
def test_a_missing_price_is_refused(kind: str) -> None:
    for price in ({name: value for name, value in PRICE.items() if name != kind}, {**PRICE, kind: None}):
        found = problems(price, "demo")
        assert len(found) == 1
        assert "missing" in found[0]
    assert problems({}, "ollama")


@pytest.mark.parametrize("kind", LONG)
def test_the_price_of_long_prompts_is_all_or_nothing(kind: str) -> None:
    found = problems(PRICE | {name: value for name, value in LONG.items() if name != kind}, "anthropic")
    assert len(found) == 1
    assert "all or nothing" in found[0]


@pytest.mark.parametrize("length", ["0", "-5", "1.5", "many", "", "٣"])
def test_the_length_of_a_long_prompt_is_a_number_of_tokens(length: str) -> None:
    assert problems(PRICE | LONG | {"long_above": length}, "anthropic")


def test_only_a_local_model_may_be_free_and_a_long_prompt_is_not_cheaper() -> None:
    for kind in (*PRICE, "long_output"):
        assert any("zero" in sentence for sentence in problems(PRICE | LONG | {kind: "0.0"}, "anthropic"))
    assert problems(PRICE | LONG | {"long_input": "2.9"}, "anthropic") == ["The price of input of long prompts is below the one of input."]
    assert problems(PRICE | {"discount": "1"}, "anthropic") == ["There is no price called 'discount'."]


def test_the_price_of_a_row_is_complete_and_exact(db: None) -> None:
    row(long_above=200_000, long_input_price=Decimal(6), long_output_price=Decimal("22.5")).save()
    catalog.forget()
    info = catalog.model_info("paid")
    assert info is not None
    assert info.price == {
        "input": "3.000000",
        "output": "15.000000",
        "cache_read": "3.000000",
        "cache_write": "3.000000",
        "long_above": "200000",
        "long_input": "6.000000",
        "long_output": "22.500000",
        "long_cache_read": "6.000000",
        "long_cache_write": "6.000000",
    }


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("wrong", ["-1", "NaN", "200000"])
def test_the_model_and_the_database_refuse_it(db: None, field: str, wrong: str) -> None:
    long = {"long_above": 100, "long_input_price": Decimal(9), "long_output_price": Decimal(90)}
    with pytest.raises(ValidationError):
        row(**long | {field: Decimal(wrong)}).full_clean()
    row(**long).save()
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE threads_catalogmodel SET {field} = %s::numeric WHERE slug = 'paid'", [wrong])


def test_the_database_refuses_a_free_model_of_a_paid_provider_unless_nobody_can_choose_it(db: None) -> None:
    row(input_price=0, enabled=False).save()
    for change in ("enabled = true", "input_price = NULL", "long_above = 5", "long_input_price = 5"):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE threads_catalogmodel SET {change} WHERE slug = 'paid'")


def test_a_row_without_a_complete_price_is_never_offered_and_never_asked(owner: User, settings: Settings, monkeypatch: Any) -> None:
    settings.ANTHROPIC_API_KEYS = ["k"]
    row().save()
    catalog.forget()
    assert "paid" in [model.slug for model in catalog.offered()]
    # As if it had got past every check on the way in.
    monkeypatch.setattr(catalog, "_read_at", None)
    monkeypatch.setattr(CatalogModel, "price", property(lambda self: {**PRICE, "output": "NaN"} if self.slug == "paid" else PRICE))
    assert "paid" not in [model.slug for model in catalog.offered()]
    with pytest.raises(Refused, match="not available"):
        admit_turn(owner, owner.pk, content="Hello", model="paid", request_id="1", create=True)
    assert not Turn.objects.exists()


@pytest.mark.parametrize("line", ['input_price = "-1"', 'input_price = "NaN"', "input_price = inf", 'input_price = "0"', ""])
def test_a_seed_with_a_wrong_price_stops_with_a_sentence(db: None, tmp_path: Path, monkeypatch: Any, line: str) -> None:
    seed = tmp_path / "catalog.toml"
    text = f'[[models]]\nslug = "seeded"\nlabel = "S"\nprovider = "openai"\ncontext_window = 9000\noutput_price = "2"\n{line}\n'
    seed.write_text(text)
    monkeypatch.setattr(catalog, "SEED", seed)
    with pytest.raises(ValueError, match=r"catalog.toml: seeded: The price of input"):
        catalog.seed(apps, "default")
    assert not CatalogModel.objects.filter(slug="seeded").exists()


@pytest.fixture
def admin(db: None, client_of: Callable[[User], Client]) -> Iterator[Client]:
    yield client_of(User.objects.create_superuser("root@example.com", "x"))
    catalog.forget()


def form(**fields: str) -> dict[str, str]:
    given = {
        "slug": "paid",
        "label": "Paid",
        "provider": "openai",
        "upstream": "paid",
        "context_window": "1000",
        "default_max_tokens": "10",
    }
    return given | {"max_output_tokens": "10", "input_price": "1.5", "output_price": "2", "position": "1", "enabled": "on"} | fields


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"input_price": "-1"}, "is negative"),
        ({"output_price": "0"}, "The price of output is zero"),
        ({"output_price": ""}, "The price of output is missing"),
        ({"input_price": "NaN"}, "Enter a number"),
        ({"cache_read_price": "Infinity"}, "Enter a number"),
        ({"cache_read_price": "0"}, "The price of cached input is zero"),
        ({"input_price": "150000"}, "it is per million, not per token"),
        ({"long_above": "200000"}, "all or nothing; missing: of input of long prompts"),
        ({"long_input_price": "5"}, "all or nothing; missing: the length, of output of long prompts"),
    ],
)
def test_the_form_in_admin_says_what_is_wrong_and_stores_nothing(admin: Client, fields: dict[str, str], sentence: str) -> None:
    address = reverse("admin:threads_catalogmodel_add")
    refused = admin.post(address, form(**fields))
    assert refused.status_code == 200
    assert sentence in refused.content.decode()
    assert not CatalogModel.objects.filter(slug="paid").exists()
    assert admin.post(address, form()).status_code == 302
    assert CatalogModel.objects.get(slug="paid").price["cache_read"] == "1.500000"
