"""Who is asking: people and the keys of their apps."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower

from chatai.lib.ids import uuid7


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        if not email:
            raise ValueError("A user needs an e-mail address.")
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email__iexact=username)


class User(AbstractUser):
    """A person who signs in with an e-mail address."""

    class Theme(models.TextChoices):
        SYSTEM = "system", "Same as the device"
        LIGHT = "light", "Light"
        DARK = "dark", "Dark"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    username = None  # type: ignore[assignment]
    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120, blank=True)
    theme = models.CharField(max_length=8, choices=Theme, default=Theme.SYSTEM)
    default_model = models.CharField(max_length=100, blank=True)
    custom_instructions = models.TextField(max_length=8000, blank=True)
    side_calls = models.BooleanField(default=True, db_default=True, help_text="Titles and summaries by a model, which the person pays for.")

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects: ClassVar[UserManager] = UserManager()  # type: ignore[assignment]

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_once")]

    def __str__(self) -> str:
        return self.email

    @property
    def display_name(self) -> str:
        return self.name or self.email.split("@")[0]

    def get_full_name(self) -> str:
        return self.display_name

    def get_short_name(self) -> str:
        return self.display_name


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def for_user(self, user: User) -> ApiKeyQuerySet:
        return self.filter(user=user)

    def usable(self) -> ApiKeyQuerySet:
        return self.filter(revoked_at=None, user__is_active=True)


class ApiKey(models.Model):
    """A bearer secret of one account, of which only the SHA-256 digest is kept."""

    class Scope(models.TextChoices):
        STANDARD = "standard", "Standard"
        ADMIN = "admin", "Admin"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=400)
    digest = models.BinaryField(max_length=32, unique=True)
    prefix = models.CharField(max_length=24, help_text="First characters, an ellipsis and the last four; safe to show.")
    scope = models.CharField(max_length=8, choices=Scope, default=Scope.STANDARD)
    max_spend_micros = models.BigIntegerField(null=True, blank=True, help_text="Lifetime cap in micro-dollars; empty means none.")
    personal = models.BooleanField(default=False, help_text="Minted at sign-up; the browser's own chats run on it.")
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index("user", models.F("created_at").desc(), name="apikey_of_user")]
        constraints = [
            models.CheckConstraint(condition=models.Q(scope__in=["standard", "admin"]), name="apikey_scope_known"),
            models.CheckConstraint(
                condition=models.Q(max_spend_micros=None) | models.Q(max_spend_micros__gte=0), name="apikey_cap_not_negative"
            ),
            models.UniqueConstraint("user", condition=models.Q(personal=True, revoked_at=None), name="apikey_one_personal"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"
