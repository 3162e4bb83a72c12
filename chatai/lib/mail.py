"""Django's mail settings from one address: `smtp://user:password@host:port`."""

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from chatai.lib.env import TRUE, EnvError

BACKENDS = "django.core.mail.backends"
SMTP_PORTS = {"smtp": 25, "smtp+tls": 587, "submission": 587, "smtps": 465, "smtp+ssl": 465}
TIMEOUT = 10  # seconds a request may wait for the mail server


def settings_for(url: str) -> dict[str, Any]:
    """EMAIL_* settings for `url`; without one, mail is printed. `smtp+tls` is STARTTLS, `smtps` is TLS from the start.

    `?tls=1` and `?ssl=1` are understood too, `file:///folder` writes each mail to a file. Raises EnvError.
    """
    parts = urlsplit(url)
    if not url or parts.scheme in ("console", "consolemail"):
        return {"EMAIL_BACKEND": f"{BACKENDS}.console.EmailBackend"}
    if parts.scheme in ("file", "filemail"):
        return {"EMAIL_BACKEND": f"{BACKENDS}.filebased.EmailBackend", "EMAIL_FILE_PATH": parts.path}
    if parts.scheme not in SMTP_PORTS or not parts.hostname:
        raise EnvError("EMAIL_URL should be smtp://, smtp+tls:// or smtps:// user:password@host:port.")
    query = {name: values[-1].lower() in TRUE for name, values in parse_qs(parts.query).items()}
    ssl = SMTP_PORTS[parts.scheme] == 465 or query.get("ssl", False)
    return {
        "EMAIL_BACKEND": f"{BACKENDS}.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": parts.port or SMTP_PORTS[parts.scheme],
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_SSL": ssl,
        "EMAIL_USE_TLS": not ssl and (SMTP_PORTS[parts.scheme] == 587 or query.get("tls", False)),
        "EMAIL_TIMEOUT": TIMEOUT,
    }
