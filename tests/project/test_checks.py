"""Settings that cannot work are refused by name before anything starts."""

from typing import Any

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from threads.management.commands.runreplies import Command as RunReplies

GOOD: dict[str, Any] = {
    "PRODUCTION": True,
    "DEBUG": False,
    "HTTPS": True,
    "ALLOWED_HOSTS": ["chat.example.com"],
    "WEBSOCKET_ORIGINS": [],
    "SECRET_KEY": "x" * 50,
    "FIELD_ENCRYPTION_KEYS": ["a2V5"],
    "DATABASE_URL": "postgresql://db/chatai",
    "REDIS_URL": "redis://cache:6379",
    "EMAIL_URL": "smtp://mail",
    "FILES_STORAGE": "database",
}
BAD: dict[str, dict[str, Any]] = {
    "chatai.E001": {"DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3"}}},
    "chatai.E002": {"CHANNEL_LAYERS": {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}},
    "chatai.E003": {"ADMIN_EMAIL": "a@example.com", "ADMIN_PASSWORD": ""},
    "chatai.E005": {"FILES_STORAGE": "s3"},
    "chatai.E006": {"FILES_STORAGE": "disk", "EPHEMERAL_DISK": True},
    "chatai.E007": {"TOP_UP_AMOUNTS_USD": ["10", "-5"]},
    "chatai.E008": {"BILLING_PLANS": ["Monthly:price_1abc"]},
    "chatai.E009": {"EGRESS_ALLOW": ["db.internal", "10.0.0.1/8"]},
    "chatai.E010": {"SECRET_KEY": "insecure-default-for-laptops-only-set-SECRET_KEY-in-production"},
    "chatai.E011": {"ALLOWED_HOSTS": ["*"]},
    "chatai.E012": {"WEBSOCKET_ORIGINS": ["https://chat.example.com", "*"]},
    "chatai.E013": {"DATABASE_URL": ""},
    "chatai.E014": {"REDIS_URL": ""},
    "chatai.E015": {"FIELD_ENCRYPTION_KEYS": []},
    "chatai.E016": {"MCP_LOCAL_SERVERS": "/nowhere.toml"},
    "chatai.W027": {"MCP_OAUTH_CLIENTS": {"nobody": ("id", "secret")}},
    "chatai.W020": {"DEBUG": True},
    "chatai.W021": {"HTTPS": False},
    "chatai.W022": {"EMAIL_URL": ""},
    "chatai.W025": {"FILES_STORAGE": "disk"},
    "chatai.W026": {"STRIPE_SECRET_KEY": "sk_live_1", "STRIPE_WEBHOOK_SECRETS": []},
    "chatai.W040": {"EMBEDDING_BASE_URL": "https://api.openai.com/v1", "EMBEDDING_PRICE_USD": 0},
}


@pytest.fixture
def production(settings: Settings) -> Settings:
    for name, value in GOOD.items():
        setattr(settings, name, value)
    return settings


def found(**options: Any) -> list[str]:
    return sorted(str(message.id) for message in run_checks(**options) if str(message.id).startswith("chatai."))


def test_a_laptop_without_any_variable_has_nothing_to_complain_about(settings: Settings) -> None:
    assert found() == []


def test_a_complete_production_has_nothing_to_complain_about(production: Settings) -> None:
    assert found() == []


@pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")
@pytest.mark.parametrize("number", BAD)
def test_each_bad_combination_is_named(production: Settings, number: str) -> None:
    for name, value in BAD[number].items():
        setattr(production, name, value)
    assert found() == [number]


def test_replies_refuse_what_cannot_work(production: Settings) -> None:
    production.MCP_LOCAL_SERVERS = "/nowhere.toml"
    assert found(tags=RunReplies.requires_system_checks) == ["chatai.E016"]


@pytest.mark.parametrize("name", ["GOOGLE", "GITHUB"])
def test_a_sign_in_provider_needs_both_halves(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"{name}_CLIENT_ID", "only this")
    assert found() == ["chatai.E004"]


def test_a_laptop_may_lack_what_production_needs(production: Settings) -> None:
    production.PRODUCTION = False
    production.SECRET_KEY = production.DEFAULT_SECRET_KEY
    production.REDIS_URL = production.EMAIL_URL = ""
    assert found() == []


@pytest.mark.parametrize(("number", "name"), [("chatai.W023", "DEFAULT_MODEL"), ("chatai.W024", "TASK_MODEL")])
def test_a_model_that_does_not_exist_is_a_warning(db: None, settings: Settings, number: str, name: str) -> None:
    setattr(settings, name, "no-such-model")
    assert found(databases=["default"]) == [number]
    setattr(settings, name, "demo")
    assert found(databases=["default"]) == []
