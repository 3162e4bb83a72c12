from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed
from django.db.models.signals import post_migrate


class ThreadsConfig(AppConfig):
    name = "threads"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from accounts.preferences import offer_models
        from billing import audit as ledger
        from billing import described as money
        from threads import audit, described, signals  # noqa: F401 - connects its receivers

        post_migrate.connect(seed_catalog, sender=self)
        offer_models(choices_of_models)
        for check in audit.CHECKS:
            ledger.also(check)
        money.offer(described.chats, described.outcomes, described.model_names)


def choices_of_models() -> list[tuple[str, str]]:
    """(slug, label) for the settings page."""
    from threads.providers.catalog import offered

    return [(row.slug, row.label) for row in offered()]


def seed_catalog(using: str, apps: Any = installed, **_: object) -> None:
    """New models of a new version appear with its `migrate`; a migration back to nothing has no table to fill."""
    from threads.providers import catalog

    if any(model._meta.model_name == "catalogmodel" for model in apps.get_app_config("threads").get_models()):
        catalog.seed(apps, using)
