from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from allauth.account.decorators import secure_admin_login
        from django.contrib import admin

        from accounts import receivers  # noqa: F401

        # Admins sign in where everybody does: behind the same second factor and the same limits.
        admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
