"""What operators look after: the models on offer, and the processes that write answers."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from billing import price_rules


def _price(help_text: str, **given: Any) -> models.DecimalField[Any, Any]:
    return models.DecimalField(max_digits=12, decimal_places=price_rules.DECIMALS, help_text=help_text, **given)


def _sane(*names: str) -> Q:
    """Neither negative nor NaN, which PostgreSQL sorts above every number. A price that is not given passes."""
    return Q(**{f"{name}__gte": 0 for name in names}, **{f"{name}__lte": price_rules.HIGHEST for name in names})


PRICES = ("input_price", "output_price", "cache_read_price", "cache_write_price")
PRICE_RANGE = f"A price is between 0 and {price_rules.HIGHEST:,} USD per million tokens."


class CatalogModel(models.Model):
    """A model people can choose. Seeded from `providers/catalog.toml`, edited in admin."""

    slug = models.SlugField(max_length=100, primary_key=True, allow_unicode=False)
    label = models.CharField(max_length=100)
    provider = models.CharField(max_length=20, help_text="Adapter: anthropic, openai, ollama or demo.")
    upstream = models.CharField(max_length=200, help_text="The name the provider knows it by.")
    description = models.CharField(max_length=200, blank=True)
    context_window = models.IntegerField(help_text="Tokens.")
    default_max_tokens = models.IntegerField(default=4096)
    max_output_tokens = models.IntegerField(default=8192)
    input_price = _price("USD per million tokens.")
    output_price = _price("USD per million tokens.")
    cache_read_price = _price("Empty: as input.", null=True, blank=True)
    cache_write_price = _price("Empty: as input.", null=True, blank=True)
    long_above = models.IntegerField(
        null=True, blank=True, help_text="Tokens of one prompt above which the prices below count; empty: never."
    )
    long_input_price = _price("For each call with a longer prompt.", null=True, blank=True)
    long_output_price = _price("For each call with a longer prompt.", null=True, blank=True)
    long_cache_read_price = _price("Empty: as the input of a long prompt.", null=True, blank=True)
    long_cache_write_price = _price("Empty: as the input of a long prompt.", null=True, blank=True)
    thinking = models.BooleanField(default=False, help_text="Can show its reasoning.")
    tools = models.BooleanField(default=True, help_text="Can call tools.")
    vision = models.BooleanField(default=False, help_text="Reads images.")
    prefill = models.BooleanField(default=False, help_text="Can continue a partial answer given to it.")
    enabled = models.BooleanField(default=True)
    position = models.IntegerField(default=100, help_text="Order in the picker.")

    class Meta:
        ordering = ["position", "label"]
        constraints = [
            models.CheckConstraint(
                condition=_sane(*PRICES, *(f"long_{name}" for name in PRICES)),
                name="catalog_prices_sane",
                violation_error_message=PRICE_RANGE,
            ),
            models.CheckConstraint(
                condition=Q(enabled=False) | Q(provider__in=sorted(price_rules.LOCAL_PROVIDERS)) | Q(input_price__gt=0, output_price__gt=0),
                name="catalog_only_local_free",
                violation_error_message="A model that is offered has a price.",
            ),
            models.CheckConstraint(
                condition=Q(long_above=None, long_input_price=None, long_output_price=None)
                | Q(long_above__gt=0, long_input_price__isnull=False, long_output_price__isnull=False),
                name="catalog_long_prices_complete",
                violation_error_message="The length, the input and the output price of long prompts go together.",
            ),
            models.CheckConstraint(
                condition=Q(context_window__gt=0) & Q(default_max_tokens__gt=0) & Q(max_output_tokens__gte=F("default_max_tokens")),
                name="catalog_limits_sane",
            ),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def price(self) -> dict[str, str]:
        """As `billing.price_rules` has it: USD per million tokens by kind; what is not known is left out."""
        long_input, read, write = self.long_input_price, self.long_cache_read_price, self.long_cache_write_price
        price = {
            "input": self.input_price,
            "output": self.output_price,
            "cache_read": self.input_price if self.cache_read_price is None else self.cache_read_price,
            "cache_write": self.input_price if self.cache_write_price is None else self.cache_write_price,
            "long_above": self.long_above,
            "long_input": long_input,
            "long_output": self.long_output_price,
            "long_cache_read": long_input if read is None else read,
            "long_cache_write": long_input if write is None else write,
        }
        return {kind: str(value) for kind, value in price.items() if value is not None}

    def price_problems(self) -> list[str]:
        """Why this model cannot be offered; empty when its price is complete and sane."""
        return price_rules.problems(self.price, self.provider)

    def clean(self) -> None:
        if found := self.price_problems():
            raise ValidationError(found)


class Runner(models.Model):
    """Heartbeat of one `runreplies` process."""

    name = models.CharField(max_length=80, primary_key=True, help_text="host:pid:random")
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField(db_index=True)
    live_turns = models.IntegerField(default=0)
    capacity = models.IntegerField(default=0)
    draining = models.BooleanField(default=False)
    takes = models.BooleanField(default=False, db_default=False, help_text="Turns may be given to it as they are admitted.")

    def __str__(self) -> str:
        return self.name
