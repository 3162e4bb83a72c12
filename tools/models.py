"""What an account has added to the assistant, and what it may do without asking."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q

from chatai.lib.ids import uuid7
from tools.connected import WIRE_PREFIX, Connection, ConnectLink, Leftover, McpServer, McpTool

__all__ = ["ConnectLink", "Connection", "DirectCall", "Leftover", "McpServer", "McpTool", "RegisteredTool", "ToolRule"]


class RegisteredToolQuerySet(models.QuerySet["RegisteredTool"]):
    def for_user(self, user_id: UUID) -> RegisteredToolQuerySet:
        """Of the account, not revoked."""
        return self.filter(user_id=user_id, revoked_at=None)


class RegisteredTool(models.Model):
    """A webhook, or a built-in tool under a name and with settings of the account's own. Never changed, only revoked."""

    class Kind(models.TextChoices):
        WEBHOOK = "webhook", "Webhook"
        BUILTIN = "builtin", "Built-in"

    class AuthMode(models.TextChoices):
        TENANT = "tenant", "Settings of the account"
        PER_USER = "per_user", "Everyone connects"

    SEALED: ClassVar[dict[str, str]] = {"sealed": "tools.registeredtool {pk}"}

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="registered_tools")
    kind = models.CharField(max_length=7, choices=Kind)
    name = models.CharField(max_length=64)
    description = models.TextField()
    input_schema = models.JSONField()
    provider = models.CharField(max_length=80, blank=True, help_text="Slug of the built-in tool.")
    auth_mode = models.CharField(max_length=8, choices=AuthMode, default=AuthMode.TENANT)
    webhook_url = models.CharField(max_length=2000, blank=True)
    timeout_ms = models.IntegerField(default=30_000, help_text="Of one try.")
    sealed = models.TextField(blank=True, help_text="The webhook's signing secret, or the settings of the built-in as JSON.")
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = RegisteredToolQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint("user", "name", condition=Q(revoked_at=None), name="registeredtool_name_once"),
            models.CheckConstraint(
                condition=Q(kind="webhook", provider="") | Q(kind="builtin", webhook_url=""), name="registeredtool_one_kind"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def wire_id(self) -> str:
        return f"{WIRE_PREFIX}{self.pk.hex}"


class ToolRule(models.Model):
    """Allow, ask or deny, for the tools whose name fits a pattern. Without a user it is an administrator's, for everybody."""

    class Verdict(models.TextChoices):
        ALLOW = "allow", "Allow"
        ASK = "ask", "Ask"
        DENY = "deny", "Deny"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="tool_rules")
    pattern = models.CharField(max_length=200, help_text="A tool's name; * stands for any characters, as in linear/*.")
    verdict = models.CharField(max_length=5, choices=Verdict)
    thread_id = models.UUIDField(null=True, blank=True, editable=False, help_text="Only in this chat.")
    tool_version = models.CharField(max_length=64, blank=True, editable=False, help_text="Only while the tool is what it was.")
    reason = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pattern"]
        constraints = [
            models.UniqueConstraint("user", "thread_id", "pattern", nulls_distinct=False, name="toolrule_once"),
            models.CheckConstraint(condition=Q(verdict__in=["allow", "ask", "deny"]), name="toolrule_verdict_known"),
            models.CheckConstraint(condition=Q(thread_id=None) | Q(user__isnull=False), name="toolrule_of_a_chat_has_a_user"),
        ]

    def __str__(self) -> str:
        return f"{self.verdict} {self.pattern}"


class DirectCall(models.Model):
    """A call by `/v1/tools/execute`, outside of any conversation: written before it runs, completed after."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="direct_calls")
    key_id = models.UUIDField(help_text="The API key that asked.")
    request_id = models.CharField(max_length=255, blank=True)
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=8)
    source = models.CharField(max_length=80, blank=True)
    version = models.CharField(max_length=64, blank=True)
    arguments = models.JSONField()
    allowed_by = models.CharField(max_length=80, help_text="The rule that let it run or did not.")
    output = models.JSONField(null=True, blank=True)
    is_error = models.BooleanField(null=True, blank=True, help_text="Empty while it runs, and when its process died.")
    error_kind = models.CharField(max_length=20, blank=True)
    credential = models.CharField(max_length=100, blank=True)
    http_status = models.IntegerField(null=True, blank=True)
    attempts = models.IntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index("created_at", name="directcall_age")]

    def __str__(self) -> str:
        return f"{self.name} {self.pk}"
