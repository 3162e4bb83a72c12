from typing import Any

import pytest

from chatai.lib.env import EnvError
from chatai.lib.mail import settings_for


def smtp(port: int, tls: bool = False, ssl: bool = False, user: str = "", password: str = "") -> dict[str, Any]:
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": "mail.example.com",
        "EMAIL_PORT": port,
        "EMAIL_HOST_USER": user,
        "EMAIL_HOST_PASSWORD": password,
        "EMAIL_USE_SSL": ssl,
        "EMAIL_USE_TLS": tls,
        "EMAIL_TIMEOUT": 10,
    }


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}),
        ("smtp://mail.example.com", smtp(25)),
        ("smtp://mail.example.com:1025", smtp(1025)),
        ("smtp://mail.example.com:587?tls=1", smtp(587, tls=True)),
        ("smtp+tls://me%40example.com:p%2Fw@mail.example.com", smtp(587, tls=True, user="me@example.com", password="p/w")),
        ("smtps://mail.example.com", smtp(465, ssl=True)),
        ("file:///var/mail", {"EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend", "EMAIL_FILE_PATH": "/var/mail"}),
    ],
)
def test_one_address_says_how_mail_goes_out(url: str, expected: dict[str, Any]) -> None:
    assert settings_for(url) == expected


@pytest.mark.parametrize("url", ["mail.example.com", "http://mail.example.com", "smtp://"])
def test_an_address_that_cannot_work_stops_the_start_without_being_repeated(url: str) -> None:
    with pytest.raises(EnvError, match=r"EMAIL_URL should be smtp://"):
        settings_for(url)
