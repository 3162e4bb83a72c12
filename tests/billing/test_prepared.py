"""The statement that admits a turn is long: planning it anew each time would cost more than running it."""

from django.db import connection

from accounts.models import User
from threads import actions


def test_admitting_is_prepared_by_the_server_and_ordinary_statements_are_not(owner: User) -> None:
    thread = actions.create_thread(owner)
    for number in range(8):
        actions.admit_turn(owner, thread.pk, content="Hello", model="demo", request_id=str(number))
        User.objects.get(pk=owner.pk)
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement, generic_plans FROM pg_prepared_statements")
        prepared = cursor.fetchall()
    admitting = [plans for statement, plans in prepared if "billing_reservation" in statement]
    assert len(admitting) == 1
    assert admitting[0] > 0, "its plan is kept"
    assert not any('"accounts_user"' in statement for statement, _ in prepared)
