"""What the assistant is connected to: MCP servers, the tools they listed, and credentials. Imported by tools/models.py."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q

from chatai.lib import crypto
from chatai.lib.ids import uuid7

WIRE_PREFIX = "tool_"


class McpServerQuerySet(models.QuerySet["McpServer"]):
    def for_user(self, user_id: UUID) -> McpServerQuerySet:
        """Of the account, not revoked."""
        return self.filter(user_id=user_id, revoked_at=None)

    def usable_by(self, user_id: UUID) -> McpServerQuerySet:
        """The account's own and the operator's."""
        return self.filter(Q(user_id=user_id) | Q(user_id=None), revoked_at=None)


class McpServer(models.Model):
    """One MCP server of an account; without an account, a local one from the operator's settings."""

    class Transport(models.TextChoices):
        HTTP = "http", "Streamable HTTP"
        STDIO = "stdio", "A program on this machine"

    class AuthMode(models.TextChoices):
        TENANT = "tenant", "One sign-in for the account"
        PER_USER = "per_user", "Everyone signs in"

    SEALED: ClassVar[dict[str, str]] = {"sealed": "tools.mcpserver {pk}", "sealed_oauth": "tools.mcpserver.oauth {pk}"}

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="mcp_servers")
    name = models.CharField(max_length=31)
    transport = models.CharField(max_length=5, choices=Transport, default=Transport.HTTP)
    server_url = models.CharField(max_length=2000, blank=True)
    catalog_slug = models.CharField(max_length=31, blank=True)
    auth_mode = models.CharField(max_length=8, choices=AuthMode, default=AuthMode.TENANT)
    sealed = models.TextField(blank=True, help_text="JSON: the headers as given, or what fills in the catalogue's template.")
    sealed_oauth = models.TextField(blank=True, help_text="JSON: where its users sign in, and as which client we are known there.")
    protocol = models.CharField(max_length=20, blank=True, help_text="What it spoke last; empty means: find out.")
    tools_cache_at = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(max_length=500, blank=True, help_text="Why its tools could not be listed the last time.")
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = McpServerQuerySet.as_manager()

    class Meta:
        verbose_name = "MCP server"
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint("user", "name", condition=Q(revoked_at=None), nulls_distinct=False, name="mcpserver_name_once"),
            models.CheckConstraint(condition=Q(transport="http") | Q(user_id=None), name="mcpserver_stdio_is_the_operators"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def service(self) -> str:
        """What connections to it are filed under."""
        return f"mcp/{self.pk}"

    @property
    def wire_name(self) -> str:
        """As qlaud_manage_connections calls it."""
        return f"qlaud-mcp/{self.name}"


class Connection(models.Model):
    """Credentials of one holder for one service. What is sealed leaves the database for a call and nothing else."""

    class Kind(models.TextChoices):
        CONFIG = "config", "Entered"
        OAUTH = "oauth", "Signed in"

    class Status(models.TextChoices):
        CONNECTED = "connected", "Connected"
        BROKEN = "broken", "Needs to be connected again"

    SEALED: ClassVar[dict[str, str]] = {"sealed": "tools.connection {pk}"}

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="connections")
    holder = models.CharField(max_length=300, help_text="“account”, “key:<id>” or “end_user:<id>”: whose turns it is used in.")
    service = models.CharField(max_length=80, help_text="“mcp/<server>” or “builtin/<name>”.")
    server = models.ForeignKey(McpServer, on_delete=models.CASCADE, null=True, blank=True, related_name="connections")
    kind = models.CharField(max_length=6, choices=Kind, default=Kind.CONFIG)
    sealed = models.TextField()
    status = models.CharField(max_length=9, choices=Status, default=Status.CONNECTED)
    problem = models.CharField(max_length=500, blank=True)
    refresh_at = models.DateTimeField(null=True, blank=True, help_text="When its token is renewed, well before it runs out.")
    tools_cache_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["service"]
        constraints = [models.UniqueConstraint("user", "holder", "service", name="connection_once")]
        indexes = [models.Index("refresh_at", condition=Q(status="connected"), name="connection_due")]

    def __str__(self) -> str:
        return f"{self.service} of {self.holder}"

    @property
    def label(self) -> str:
        """As records of calls name it."""
        return f"connection {self.pk}"


class McpTool(models.Model):
    """A tool as its server described it; of a per-user server, to one connection."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    server = models.ForeignKey(McpServer, on_delete=models.CASCADE, related_name="tools")
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, null=True, blank=True, related_name="tools")
    name = models.CharField(max_length=128, help_text="Without the server's name.")
    description = models.TextField(blank=True)
    input_schema = models.JSONField()
    read_only = models.BooleanField(default=False, help_text="What the server says of it.")
    idempotent = models.BooleanField(default=False, help_text="What the server says of it.")
    version = models.CharField(max_length=64, help_text="SHA-256 of all the model and the person are told.")
    confirmed_version = models.CharField(max_length=64, help_text="The version a person last agreed to.")

    class Meta:
        verbose_name = "MCP tool"
        ordering = ["name"]
        constraints = [models.UniqueConstraint("server", "connection", "name", nulls_distinct=False, name="mcptool_name_once")]

    def __str__(self) -> str:
        return self.full_name

    @property
    def full_name(self) -> str:
        return f"{self.server.name}/{self.name}"

    @property
    def wire_id(self) -> str:
        return f"{WIRE_PREFIX}{self.pk.hex}"


class ConnectLink(models.Model):
    """A one-time address at which somebody enters credentials or signs in. Only digests of its secrets are kept."""

    SEALED: ClassVar[dict[str, str]] = {"sealed": "tools.connectlink {pk}"}

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    digest = models.BinaryField(max_length=32, unique=True)
    state_digest = models.BinaryField(max_length=32, unique=True, null=True, blank=True)  # of an OAuth sign-in that has begun
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    holder = models.CharField(max_length=300)
    service = models.CharField(max_length=80)
    server = models.ForeignKey(McpServer, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    thread_id = models.UUIDField(null=True, blank=True)
    sealed = models.TextField(blank=True, help_text="JSON: what the OAuth sign-in needs when it comes back.")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"link to {self.service}"


class Leftover(models.Model):
    """Tokens of a sign-in that ended, until the service that gave them has been told. Refers to nobody."""

    SEALED: ClassVar[dict[str, str]] = {"sealed": "tools.leftover {pk}"}

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    sealed = models.TextField(help_text="JSON: the tokens, and where they are given back.")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"tokens to give back since {self.created_at}"


def put_secret(row: models.Model, column: str, text: str) -> None:
    """Seal `text` into the row's column, for that row only; the caller saves."""
    setattr(row, column, crypto.seal(text, purpose(row, column)))


def secret(row: models.Model, column: str = "sealed") -> str:
    """Raises chatai.lib.crypto.UnsealError; an empty column is an empty text."""
    sealed = getattr(row, column)
    return crypto.unseal(sealed, purpose(row, column)) if sealed else ""


def purpose(row: Any, column: str) -> str:
    return str(row.SEALED[column].format(pk=row.pk))
