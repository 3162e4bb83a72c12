"""The catalogue's row. Here and not in `models.py`, because nothing of a conversation refers to it."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q


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
    input_price = models.DecimalField(max_digits=12, decimal_places=6, help_text="USD per million tokens.")
    output_price = models.DecimalField(max_digits=12, decimal_places=6, help_text="USD per million tokens.")
    cache_read_price = models.DecimalField(max_digits=12, decimal_places=6, null=True, blank=True, help_text="Empty: as input.")
    cache_write_price = models.DecimalField(max_digits=12, decimal_places=6, null=True, blank=True, help_text="Empty: as input.")
    thinking = models.BooleanField(default=False, help_text="Can show its reasoning.")
    tools = models.BooleanField(default=True, help_text="Can call tools.")
    vision = models.BooleanField(default=False, help_text="Reads images.")
    prefill = models.BooleanField(default=False, help_text="Can continue a partial answer given to it.")
    enabled = models.BooleanField(default=True)
    position = models.IntegerField(default=100, help_text="Order in the picker.")

    class Meta:
        ordering = ["position", "label"]
        constraints = [
            models.CheckConstraint(condition=Q(input_price__gte=0) & Q(output_price__gte=0), name="catalog_price_not_negative"),
            models.CheckConstraint(
                condition=Q(context_window__gt=0) & Q(default_max_tokens__gt=0) & Q(max_output_tokens__gte=F("default_max_tokens")),
                name="catalog_limits_sane",
            ),
        ]

    def __str__(self) -> str:
        return self.label
