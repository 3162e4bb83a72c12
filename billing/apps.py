from django.apps import AppConfig
from django.db.models.signals import post_migrate


class BillingConfig(AppConfig):
    name = "billing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from billing import signals, versions  # noqa: F401 - connects its receivers

        post_migrate.connect(versions.forget, sender=self)
