import re
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from chatai.lib.admin import CappedPaginator
from tests.threads.histories import STATES, conversation
from threads.models import CatalogModel, Message, Runner, Thread, Turn, TurnEvent

MODELS = ("thread", "turn", "message", "toolcall", "catalogmodel", "runner")


@pytest.fixture
def thread(owner: User) -> Thread:
    return conversation(owner)


@pytest.fixture
def admin(db: None, client_of: Callable[[User], Client]) -> Client:
    return client_of(User.objects.create_superuser("root@example.com", "correct horse battery"))


def page(client: Client, name: str, *args: object, **query: str) -> str:
    response = client.get(reverse(f"admin:{name}", args=args), query)
    assert response.status_code == 200, response
    return str(response.content.decode())


def turn_in(thread: Thread, status: str) -> Turn:
    return thread.turns.get(status=status)


@pytest.mark.parametrize("status", STATES)
def test_the_trace_of_a_turn_in_every_state_opens(admin: Client, thread: Thread, status: str) -> None:
    turn = turn_in(thread, status)
    html = page(admin, "threads_turn_change", turn.pk)
    assert f"What is 12*7? (question {turn.number})" in html
    assert turn.request_id in html
    assert "owner@example.com" in html
    assert ("host:1:abc" in html) == (status != "queued")


def test_the_trace_tells_every_block_every_event_and_every_time(admin: Client, thread: Thread) -> None:
    html = page(admin, "threads_turn_change", turn_in(thread, "done").pk)
    for told in (
        "A product: I should calculate.",  # thinking
        "Tool call calculate",
        "Tool result · toolu_1",
        "&quot;expression&quot;: &quot;12*7&quot;",
        "$0.00234",
        "321",
        "+12 ms",  # started
        "+480 ms",  # first token
        "+5.00 s",  # finished
        "40 deltas, 270 characters in 3.04 s",
        "12 deltas",
        "longest gap 760 ms",
        "from.the.future",
        "word39",
        "Be brief.",
    ):
        assert told in html, told
    assert '<path class="curve curve-text" d="M' in html


def test_the_trace_shows_where_another_process_took_over(admin: Client, thread: Thread) -> None:
    html = page(admin, "threads_turn_change", turn_in(thread, "interrupted").pk)
    assert "Epoch 5: the turn was claimed again" in html
    assert "claimed 5 times" in html
    assert "The connection broke five times." in html


def test_a_running_turn_shows_the_text_so_far_from_the_journal(admin: Client, thread: Thread) -> None:
    html = page(admin, "threads_turn_change", turn_in(thread, "running").pk)
    assert "So far, from the journal" in html
    assert "word0 word1 word2" in html


def test_after_the_journal_is_dropped_the_trace_says_so_and_tells_the_rest(admin: Client, owner: User) -> None:
    turn = turn_in(conversation(owner, age=timedelta(hours=3)), "done")
    TurnEvent.objects.filter(turn_id=turn.pk).delete()
    html = page(admin, "threads_turn_change", turn.pk)
    assert "has been dropped" in html
    assert "A product: I should calculate." in html


def test_reading_a_conversation_is_written_into_the_history_of_its_owner(admin: Client, thread: Thread) -> None:
    turn, message = turn_in(thread, "done"), thread.messages.exclude(content=[])[0]
    for name, pk in (("turn", turn.pk), ("thread", thread.pk), ("message", message.pk)):
        page(admin, f"threads_{name}_change", pk)
    history = page(admin, "accounts_user_history", thread.user_id)
    assert [f"Read {name}" in history for name in ("turn", "thread", "message")] == [True] * 3
    assert str(turn.pk) in history
    assert "root@example.com" in history
    entry = LogEntry.objects.all()[0]
    assert "Secret plans" not in entry.object_repr + entry.change_message
    assert str(turn.pk) in page(admin, "admin_logentry_changelist")
    # A conversation has no history of its own that would show its title unrecorded.
    moved = admin.get(reverse("admin:threads_thread_history", args=[thread.pk]))
    assert moved.headers["Location"] == reverse("admin:accounts_user_history", args=[thread.user_id])


def test_lists_show_no_content_and_write_no_record(admin: Client, thread: Thread) -> None:
    for name in ("thread", "turn", "message"):
        html = page(admin, f"threads_{name}_changelist")
        assert str(thread.pk)[-12:] in html
        assert "Secret plans" not in html
        assert "What is 12*7" not in html
    assert not LogEntry.objects.exists()


def found(client: Client, name: str, term: object) -> set[str]:
    html = page(client, f"threads_{name}_changelist", q=str(term))
    return set(re.findall(rf'<th class="field-{name}[^"]*"><a href="/admin/threads/{name}/([0-9a-f-]{{36}})/change', html))


def test_turns_and_threads_are_found_by_every_id_and_by_the_persons_address(admin: Client, thread: Thread, stranger: User) -> None:
    conversation(stranger)
    turn = turn_in(thread, "failed")
    everything = {str(pk) for pk in thread.turns.values_list("pk", flat=True)}
    assert found(admin, "turn", thread.pk) == everything
    assert found(admin, "turn", "OWNER@example") == everything
    for term in (turn.pk, turn.request_id):
        assert found(admin, "turn", term) == {str(turn.pk)}
        assert found(admin, "thread", term) == {str(thread.pk)}
    for term in (thread.pk, "owner@example.com"):
        assert found(admin, "thread", term) == {str(thread.pk)}
    for term in (uuid4(), "nobody@example.com", "Secret plans", "%"):
        assert found(admin, "turn", term) == found(admin, "thread", term) == set()


def test_messages_are_found_by_ids_and_never_by_content(admin: Client, thread: Thread, stranger: User) -> None:
    conversation(stranger)
    message = thread.messages.exclude(content=[])[0]
    assert found(admin, "message", thread.pk) == {str(pk) for pk in thread.messages.values_list("pk", flat=True)}
    assert str(message.pk) in found(admin, "message", message.turn_id)
    assert found(admin, "message", message.pk) == {str(message.pk)}
    assert found(admin, "message", "What is 12*7") == set()


@pytest.mark.parametrize("state", [*STATES, "waiting", "nonsense"])
def test_turns_are_filtered_by_state(admin: Client, thread: Thread, state: str) -> None:
    html = page(admin, "threads_turn_changelist", state=state)
    shown = set(re.findall(r'field-status">([^<]*)<', html))
    assert shown == ({state.capitalize()} if state in STATES else set() if state == "waiting" else {s.capitalize() for s in STATES})


@pytest.mark.parametrize("name", MODELS)
def test_a_list_costs_the_same_few_statements_however_long_it_is(admin: Client, owner: User, name: str) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            page(admin, f"threads_{name}_changelist")
        return len(queries)

    conversation(owner)
    page(admin, f"threads_{name}_changelist")
    before = cost()
    for _ in range(5):
        conversation(owner)
    assert cost() == before <= 7


def test_a_trace_costs_the_same_few_statements_however_long_the_thread_is(admin: Client, owner: User) -> None:
    turn = turn_in(conversation(owner), "done")
    page(admin, "threads_turn_change", turn.pk)
    conversation(owner)
    with CaptureQueriesContext(connection) as queries:
        page(admin, "threads_turn_change", turn.pk)
    assert len(queries) <= 16, [query["sql"][:120] for query in queries]


def test_lists_count_no_further_than_they_show(admin: Client, thread: Thread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CappedPaginator, "cap", 3)
    with CaptureQueriesContext(connection) as queries:
        html = page(admin, "threads_turn_changelist")
    assert "The newest 3 turns; search for older ones" in html
    counts = [query["sql"] for query in queries if "COUNT(*)" in query["sql"]]
    assert counts
    assert all("LIMIT 3" in sql for sql in counts)


def test_nothing_of_a_conversation_can_be_written(admin: Client, thread: Thread) -> None:
    rows = {"thread": thread.pk, "turn": turn_in(thread, "done").pk, "message": thread.messages.all()[0].pk, "runner": "host:1:abc"}
    for name, pk in rows.items():
        assert admin.get(reverse(f"admin:threads_{name}_add")).status_code == 403
        assert admin.post(reverse(f"admin:threads_{name}_change", args=[pk]), {"title": "x"}).status_code == 403
        assert admin.post(reverse(f"admin:threads_{name}_delete", args=[pk]), {"post": "yes"}).status_code == 403
        action = {"action": "delete_selected", "_selected_action": [str(pk)], "post": "yes"}
        admin.post(reverse(f"admin:threads_{name}_changelist"), action)
    assert (Thread.objects.count(), Turn.objects.count(), Message.objects.count()) == (1, len(STATES), 2 * len(STATES))
    assert Runner.objects.exists()


def test_the_catalogue_is_edited_but_never_deleted(admin: Client) -> None:
    address = reverse("admin:threads_catalogmodel_add")
    form = {"slug": "new-model", "label": "New", "provider": "demo", "upstream": "demo", "context_window": 1000, "default_max_tokens": 10}
    form |= {"max_output_tokens": 100, "input_price": "1.5", "output_price": "2", "position": 1, "enabled": "on"}
    assert admin.post(address, form).status_code == 302
    assert CatalogModel.objects.get(pk="new-model").enabled
    refused = admin.post(address, form | {"slug": "other", "input_price": "-1", "default_max_tokens": 1000})
    assert refused.status_code == 200
    changed = admin.post(reverse("admin:threads_catalogmodel_change", args=["new-model"]), {**form, "enabled": "", "slug": "renamed"})
    assert changed.status_code == 302
    assert not CatalogModel.objects.get(pk="new-model").enabled
    assert admin.post(reverse("admin:threads_catalogmodel_delete", args=["new-model"]), {"post": "yes"}).status_code == 403


def test_strangers_and_staff_without_permission_see_nothing(
    client_of: Callable[[User], Client], stranger: User, member: User, thread: Thread
) -> None:
    member.is_staff = True
    member.save(update_fields=["is_staff"])
    pages = [reverse(f"admin:threads_{name}_changelist") for name in MODELS]
    pages += [reverse(f"admin:threads_turn_{page}", args=[turn_in(thread, "done").pk]) for page in ("change", "history")]
    for address in pages:
        assert client_of(member).get(address).status_code == 403, address
        refusal = client_of(stranger).get(address, follow=True)
        assert refusal.status_code == 403, address
        assert b"owner@example.com" not in refusal.content
    assert not LogEntry.objects.exists()


def test_staff_who_may_view_turns_list_them_and_read_them_only_with_the_permission_to_read(
    client_of: Callable[[User], Client], member: User, thread: Thread
) -> None:
    member.is_staff = True
    member.save(update_fields=["is_staff"])
    member.user_permissions.add(Permission.objects.get(codename="view_turn"))
    address = reverse("admin:threads_turn_change", args=[turn_in(thread, "done").pk])
    page(client_of(member), "threads_turn_changelist")
    assert client_of(member).get(address).status_code == 403
    assert not LogEntry.objects.exists()
    member.user_permissions.add(Permission.objects.get(codename="read_conversations"))
    client = client_of(member)
    assert client.get(address).status_code == 200
    assert LogEntry.objects.get().change_message.startswith("Read turn ")
    assert client.get(reverse("admin:threads_message_changelist")).status_code == 403


def test_a_wrong_id_leads_back_to_the_index(admin: Client, thread: Thread) -> None:
    for name in ("thread", "turn", "message"):
        for page_name in ("change", "history"):
            assert admin.get(reverse(f"admin:threads_{name}_{page_name}", args=[uuid4()])).status_code == 302
            assert admin.get(reverse(f"admin:threads_{name}_{page_name}", args=["no-id"])).status_code == 302


def test_pages_hold_no_inline_script_or_style_and_no_secret(admin: Client, thread: Thread) -> None:
    names = [(f"threads_{name}_changelist", ()) for name in MODELS]
    addresses = [reverse(f"admin:{name}") for name, _ in names] + [reverse("admin:index"), reverse("admin:threads_catalogmodel_add")]
    addresses += [reverse("admin:threads_turn_change", args=[turn.pk]) for turn in thread.turns.all()]
    addresses += [reverse("admin:threads_thread_change", args=[thread.pk]), reverse("admin:threads_runner_change", args=["host:1:abc"])]
    addresses += [reverse("admin:threads_message_change", args=[message.pk]) for message in thread.messages.all()]
    for address in addresses:
        html = admin.get(address).content.decode()
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=)", html), address
        assert "digest-never-shown" not in html
        assert thread.user.password not in html


def test_hostile_text_is_only_text(admin: Client, thread: Thread) -> None:
    turn = turn_in(thread, "done")
    hostile = "<script>alert(1)</script><img src=https://evil.example/x onerror=alert(1)>"
    blocks = [{"type": kind, kind: hostile} for kind in ("text", "thinking")] + [{"type": hostile, "x": hostile}]
    blocks += [{"type": "tool_use", "id": hostile, "name": hostile, "input": hostile}]
    turn.messages.filter(role="assistant").update(content=blocks)
    TurnEvent.objects.filter(turn_id=turn.pk, index=20).update(payload=hostile)
    html = page(admin, "threads_turn_change", turn.pk)
    assert "<script>alert" not in html
    assert "<img src=https" not in html
