"""Combinations of settings that cannot work, or are not safe, found before anything starts.

Errors stop every command; warnings are printed. "In production" means: not DEBUG, and a host name that is not this machine's.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError

from billing import plans
from chatai.lib import egress, env
from threads.providers import catalog
from tools import mcp, mcp_catalog

MEMORY_LAYER = "channels.layers.InMemoryChannelLayer"


@register("configuration")  # also the name that `runreplies` asks for
def configuration(**_: Any) -> list[CheckMessage]:
    found = [*_everywhere()]
    if settings.PRODUCTION:
        found += [*_unsafe_in_production(), *_missing_in_production(), *_shared_in_production()]
    return found


@register(Tags.database)
def models(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Whether the models that are named exist; asked with the database at hand, so by `migrate` and `check --database`."""
    found: list[CheckMessage] = []
    for number, name in ((23, "DEFAULT_MODEL"), (24, "TASK_MODEL")):
        try:
            unknown = databases and getattr(settings, name) and catalog.model_info(getattr(settings, name)) is None
        except DatabaseError:
            return []  # before the first migration
        if unknown:
            hint = "Another model is used. The names are in the catalogue, in the admin."
            found.append(Warning(f"{name} names no model.", hint=hint, id=f"chatai.W0{number}"))
    return found


def _everywhere() -> Iterator[CheckMessage]:
    engine = settings.DATABASES["default"]["ENGINE"]
    if engine != "django.db.backends.postgresql":
        yield Error(f"The database is {engine}.", hint="DATABASE_URL must be postgresql://…", id="chatai.E001")
    if settings.CHANNEL_LAYERS["default"]["BACKEND"] == MEMORY_LAYER:
        hint = "Processes cannot hear each other through it: leave CHANNEL_LAYERS as it is."
        yield Error("The channel layer lives in one process's memory.", hint=hint, id="chatai.E002")
    if bool(settings.ADMIN_EMAIL) != bool(settings.ADMIN_PASSWORD):
        yield Error("ADMIN_EMAIL and ADMIN_PASSWORD go together, and only one is set.", id="chatai.E003")
    for name in ("GOOGLE", "GITHUB"):
        if bool(env.text(f"{name}_CLIENT_ID")) != bool(env.text(f"{name}_CLIENT_SECRET")):
            yield Error(f"{name}_CLIENT_ID and {name}_CLIENT_SECRET go together, and only one is set.", id="chatai.E004")
    if settings.FILES_STORAGE not in ("database", "disk"):
        yield Error("FILES_STORAGE names no place.", hint="It is database or disk.", id="chatai.E005")
    if settings.FILES_STORAGE == "disk" and settings.EPHEMERAL_DISK:
        hint = "This host empties its disk at every restart, and its processes do not share one. Unset FILES_STORAGE."
        yield Error("Images and documents would be lost: FILES_STORAGE is disk.", hint=hint, id="chatai.E006")
    try:
        mcp.local_servers()
    except (OSError, ValueError) as error:
        hint = "A TOML file with a table per server: command, args, env."
        yield Error(f"MCP_LOCAL_SERVERS cannot be read: {type(error).__name__}.", hint=hint, id="chatai.E016")
    unknown = settings.MCP_OAUTH_CLIENTS.keys() - mcp_catalog.entries().keys()
    if unknown:
        yield Warning(f"MCP_OAUTH_CLIENTS names nobody in the catalogue: {', '.join(sorted(unknown))}.", id="chatai.W027")
    yield from _payments()
    try:
        egress.exceptions(tuple(settings.EGRESS_ALLOW))
    except ValueError as error:
        hint = "Hosts, addresses and networks such as 10.1.0.0/16, with commas between."
        yield Error(f"EGRESS_ALLOW has {error!s}.", hint=hint, id="chatai.E009")
    if ".openai." in settings.EMBEDDING_BASE_URL and not settings.EMBEDDING_PRICE_USD:
        hint = "Set EMBEDDING_PRICE_USD to what it charges for a million tokens, or the operator pays for everybody's embeddings."
        yield Warning("The service that embeds has no price.", hint=hint, id="chatai.W040")
    if settings.DEBUG and set(settings.ALLOWED_HOSTS) - set(settings.LOCAL_HOSTS):
        hint = "An error page shows code and settings to whoever finds one."
        yield Warning("DEBUG is on for a host that others can reach.", hint=hint, id="chatai.W020")


def _payments() -> Iterator[CheckMessage]:
    try:
        plans.top_ups()
    except ValueError as error:
        yield Error(f"TOP_UP_AMOUNTS_USD has {error!s}.", hint="Amounts in dollars and whole cents, such as 5,10,25.", id="chatai.E007")
    try:
        plans.offered()
    except ValueError as error:
        hint = "Each plan is name:price_id:usd, such as Monthly:price_1abc:25."
        yield Error(f"BILLING_PLANS has {error!s}.", hint=hint, id="chatai.E008")
    if settings.STRIPE_SECRET_KEY and not settings.STRIPE_WEBHOOK_SECRETS:
        hint = "Refunds and disputes are only noticed within ten minutes, by the worker. See docs/operations.md."
        yield Warning("STRIPE_WEBHOOK_SECRET is not set.", hint=hint, id="chatai.W026")


def _unsafe_in_production() -> Iterator[CheckMessage]:
    if settings.SECRET_KEY == settings.DEFAULT_SECRET_KEY:
        hint = "Anyone could forge sessions. Set it to 50 random characters."
        yield Error("SECRET_KEY is the one in the source code.", hint=hint, id="chatai.E010")
    if "*" in settings.ALLOWED_HOSTS:
        hint = "Links in mail would follow a forged Host header. Name the hosts."
        yield Error("ALLOWED_HOSTS allows every host.", hint=hint, id="chatai.E011")
    if "*" in settings.WEBSOCKET_ORIGINS:
        hint = "Any site could read a visitor's chats. Leave it empty for the site's own hosts."
        yield Error("WEBSOCKET_ORIGINS allows every origin.", hint=hint, id="chatai.E012")
    if not settings.HTTPS:
        hint = "Passwords and sessions can be read on the way. Put TLS in front and unset HTTPS."
        yield Warning("HTTPS is off.", hint=hint, id="chatai.W021")


def _shared_in_production() -> Iterator[CheckMessage]:
    if settings.FILES_STORAGE == "disk" and not settings.EPHEMERAL_DISK:
        hint = "That is right only where web, replies and worker share DATA_DIR and it outlives them. Otherwise unset FILES_STORAGE."
        yield Warning("Images and documents are kept on the disk of this machine.", hint=hint, id="chatai.W025")


def _missing_in_production() -> Iterator[CheckMessage]:
    if not settings.DATABASE_URL:
        yield Error("DATABASE_URL is not set.", id="chatai.E013")
    if not settings.REDIS_URL:
        yield Error("REDIS_URL is not set.", id="chatai.E014")
    if not settings.FIELD_ENCRYPTION_KEYS:
        hint = "Secrets of tools and connections are encrypted with it. Set it to 32 random bytes in base64, and keep it."
        yield Error("FIELD_ENCRYPTION_KEYS is not set.", hint=hint, id="chatai.E015")
    if not settings.EMAIL_URL:
        hint = "Nobody can confirm an address or reset a password: mail is only printed."
        yield Warning("EMAIL_URL is not set.", hint=hint, id="chatai.W022")
