"""`manage.py ensure_admin`: the account that ADMIN_EMAIL and ADMIN_PASSWORD name, run by `up` and by each release."""

from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction

from accounts.models import User
from billing.actions import lift_limits


class Command(BaseCommand):
    help = "Makes the superuser of ADMIN_EMAIL with ADMIN_PASSWORD, unless it is one already; then nothing changes."

    @transaction.atomic
    def handle(self, *_args: Any, **_options: Any) -> None:
        email, password = settings.ADMIN_EMAIL.lower(), settings.ADMIN_PASSWORD
        if not email or not password:
            self.stdout.write("ADMIN_EMAIL and ADMIN_PASSWORD are not both set: no admin is ensured.")
            return
        user = User.objects.filter(email__iexact=email).first()
        if user is None:
            user = User.objects.create_superuser(email, password)
        elif not (user.is_superuser and user.is_staff and user.is_active):
            # Whoever signed up with this address before is not necessarily the operator: the password is the operator's.
            user.is_superuser = user.is_staff = user.is_active = True
            user.set_password(password)
            user.save(update_fields=["is_superuser", "is_staff", "is_active", "password"])
            lift_limits(user)
        EmailAddress.objects.update_or_create(user=user, email=user.email, defaults={"verified": True, "primary": True})
        self.stdout.write(f"{user.email} is an administrator.")
