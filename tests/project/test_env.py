"""Variables that make no sense stop the start, by name, without repeating a secret."""

import os
import stat
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings

from chatai.lib import embedded, env
from chatai.lib.env import EnvError


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("Yes", True), ("off", False), ("", False), (" true ", True)])
def test_a_flag_is_read_in_the_usual_spellings(value: str, expected: bool) -> None:
    assert env.flag("A", source={"A": value}) is expected


def test_defaults_apply_when_a_variable_is_missing_or_blank() -> None:
    assert env.text("A", "x", source={"A": "  "}) == "x"
    assert env.integer("A", 7, source={}) == 7
    assert env.decimal("A", "2.50", source={}) == Decimal("2.50")
    assert env.words("A", source={"A": " a, ,b ,"}) == ["a", "b"]
    assert env.url("A", source={"A": "https://x.example/v1/"}) == "https://x.example/v1"


def test_nonsense_is_refused_by_name() -> None:
    with pytest.raises(EnvError, match=r"^A \('maybe'\) should be 1 or 0\.$"):
        env.flag("A", source={"A": "maybe"})
    with pytest.raises(EnvError, match=r"^A \('x'\) should be a whole number\.$"):
        env.integer("A", 1, source={"A": "x"})
    with pytest.raises(EnvError, match=r"should be at least 1\.$"):
        env.integer("A", 1, minimum=1, source={"A": "0"})
    with pytest.raises(EnvError, match="not negative"):
        env.decimal("A", "5", source={"A": "-1"})
    with pytest.raises(EnvError, match="not negative"):
        env.decimal("A", "5", source={"A": "NaN"})


def test_hosts_and_their_addresses_come_in_pairs() -> None:
    assert env.pair("api.example.com=https://gateway.example.com/", "A") == ("api.example.com", "https://gateway.example.com")
    for entry in ("api.example.com", "=https://x", "api.example.com=", "api.example.com=ftp://x"):
        with pytest.raises(EnvError, match=r"should be a list of host=https://…\.$"):
            env.pair(entry, "A")


def test_an_address_that_is_refused_is_not_repeated() -> None:
    with pytest.raises(EnvError) as caught:
        env.url("DATABASE_URL", schemes=("postgresql",), source={"DATABASE_URL": "mysql://root:hunter2@db"})
    assert str(caught.value) == "DATABASE_URL should be postgresql://…."


def test_the_environment_wins_over_the_file_of_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATAI_TEST_A", "mine")
    monkeypatch.delenv("CHATAI_TEST_B", raising=False)
    file = tmp_path / "env"
    file.write_text("# a comment\nCHATAI_TEST_A=theirs\nCHATAI_TEST_B=a=b\nnonsense\n")
    env.load_defaults(file)
    assert os.environ["CHATAI_TEST_A"] == "mine"
    assert os.environ.pop("CHATAI_TEST_B") == "a=b"
    env.load_defaults(tmp_path / "no such file")


def test_secrets_are_written_for_the_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("old")
    file.chmod(0o644)
    embedded.write_private(file, "SECRET_KEY=x\n")
    assert file.read_text() == "SECRET_KEY=x\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def with_settings(expression: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Evaluate an expression over freshly read settings."""
    code = f"from chatai import settings; print({expression})"
    changed = {**os.environ, **variables}
    return subprocess.run([sys.executable, "-c", code], env=changed, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False)


def test_bad_variables_stop_the_start_with_one_sentence() -> None:
    result = with_settings("1", PORT="eighty")
    assert result.returncode != 0
    assert result.stderr.strip().endswith("PORT ('eighty') should be a whole number.")


@pytest.mark.parametrize(
    ("verify", "expected"), [("1", "rediss://:s@cache:6380?ssl_cert_reqs=required"), ("0", "rediss://:s@cache:6380?ssl_cert_reqs=none")]
)
def test_redis_over_tls_says_how_to_check_the_certificate(verify: str, expected: str) -> None:
    result = with_settings("settings.CELERY_BROKER_URL", REDIS_URL="rediss://:s@cache:6380", REDIS_TLS_VERIFY=verify)
    assert result.stdout.strip() == expected


def test_a_public_host_makes_it_production_over_https() -> None:
    names = "settings.PRODUCTION, settings.HTTPS, settings.SESSION_COOKIE_SECURE, settings.CSRF_TRUSTED_ORIGINS"
    assert with_settings(names, ALLOWED_HOSTS=".example.com").stdout.strip() == "True True True ['https://*.example.com']"
    assert with_settings(names, ALLOWED_HOSTS="").stdout.strip() == "False False False []"
