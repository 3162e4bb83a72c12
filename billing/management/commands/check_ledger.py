"""`manage.py check_ledger`: prove that every micro-dollar is explained; exits with 1 when something differs."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing import audit


class Command(BaseCommand):
    help = "Compare the ledger with every counter, hold and turn. Changes nothing; exits with 1 when something differs."

    def handle(self, **_: Any) -> None:
        proof = audit.check()
        wrong: dict[str, list[audit.Difference]] = {}
        for difference in proof.differences:
            wrong.setdefault(difference.check, []).append(difference)
        for name in audit.checks():
            self.stdout.write(f"{'DIFFERS' if name in wrong else 'holds  '}  {name}")
            for difference in wrong.get(name, ()):
                self.stdout.write(f"         {difference}")
        self.stdout.write(f"{proof.lines:,} lines and {proof.budgets:,} budgets in {proof.seconds:.1f} s")
        if proof.count:
            raise CommandError(f"{proof.count:,} differences. The first: {proof.first}")
