"""Images and documents: kept once, outside the rows, seen only by those who see the thread, and gone with it."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.utils import timezone
from pytest_django import Settings

from accounts.actions import close_account
from accounts.models import User
from tests.api.client import Caller
from tests.stack import Stack
from threads import attachments, cleaning
from threads.attachments import inline
from threads.file_bytes import path_of
from threads.models import FileBytes, Message, StoredFile, Thread

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
PDF = b"%PDF-1.4\n" + b"x" * 5000


def image(data: bytes = PNG, media_type: str = "image/png") -> dict[str, object]:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": base64.b64encode(data).decode()}}


def document(data: bytes = PDF) -> dict[str, object]:
    source = {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(data).decode()}
    return {"type": "document", "title": "paper", "source": source, "cache_control": {"type": "ephemeral"}}


QUESTION = {"type": "text", "text": "What is this? [[tokens=2]]"}


@pytest.fixture
def owner(account: Callable[[str], User]) -> User:
    return account("owner")


@pytest.fixture
def holder(owner: User, caller: Callable[..., Caller]) -> Caller:
    return caller(owner)


def test_a_file_is_kept_once_outside_the_row_and_sent_in_full(holder: Caller, owner: User) -> None:
    first, second = holder.thread(), holder.thread()
    for thread_id in (first, second, first):
        assert holder.send(thread_id, [QUESTION, image(), document()]).status == 200
    kept = list(StoredFile.objects.filter(user=owner).order_by("size"))
    assert [(file.size, file.digest) for file in kept] == [(len(data), hashlib.sha256(data).hexdigest()) for data in (PNG, PDF)]
    content = Message.objects.filter(thread_id=first, role="user").order_by("seq")[0].content
    assert content[1] == {"type": "image", "source": {"type": "file", "file_id": f"file_{kept[0].pk.hex}", "media_type": "image/png"}}
    assert holder.messages(first)["data"][0]["content"][2] == content[2] | {"type": "document"}
    assert inline(content) == [QUESTION, image(), document()]  # what the provider is sent


def test_a_file_is_read_by_those_who_see_its_thread(
    holder: Caller, owner: User, caller: Callable[..., Caller], account: Callable[[str], User]
) -> None:
    thread_id = holder.thread()
    holder.send(thread_id, [QUESTION, image(), document()])
    blocks = holder.messages(thread_id)["data"][0]["content"]
    for block, data, media_type in ((blocks[1], PNG, "image/png"), (blocks[2], PDF, "application/pdf")):
        path = f"/v1/files/{block['source']['file_id']}/content"
        for reader in (holder, caller(owner, scope="admin")):
            reply = reader.get(path)
            assert (reply.status, reply.body, reply.headers["content-type"]) == (200, data, media_type)
            assert reply.headers["x-content-type-options"] == "nosniff"
        for reader in (caller(owner), caller(account("stranger"), scope="admin")):
            assert reader.get(path).status == 404
        assert Caller(holder.url).get(path).status == 401
    assert holder.get("/v1/files/file_x/content").status == 404
    default_storage.delete(path_of(StoredFile.objects.filter(user=owner).latest("size")))
    holder.call("DELETE", f"/v1/threads/{thread_id}")
    assert holder.get(path).status == 404


@pytest.mark.parametrize(
    ("block", "status"),
    [
        (image() | {"source": {"type": "base64", "media_type": "image/png", "data": "not base64!"}}, 400),
        (image() | {"source": {"type": "base64", "media_type": "image/png", "data": "YQ"}}, 400),
        (image() | {"source": {"type": "base64", "media_type": "image/png", "data": ""}}, 413),
        (image() | {"source": {"type": "base64", "media_type": "image/svg+xml", "data": "YQ=="}}, 400),
        (image() | {"source": {"type": "base64", "data": "YQ=="}}, 400),
        (image() | {"source": "x"}, 400),
        (document(b"x" * (20 * 2**20 + 1)), 413),
    ],
)
def test_what_is_no_file_is_refused_and_nothing_is_kept(holder: Caller, owner: User, block: dict[str, object], status: int) -> None:
    reply = holder.send(holder.thread(), [QUESTION, block])
    assert (reply.status, "content.1" in reply.error) == (status, True)
    assert not StoredFile.objects.filter(user=owner).exists()


def test_a_large_file_passes_where_a_large_text_does_not(holder: Caller) -> None:
    assert holder.send(holder.thread(), [QUESTION, document(b"%PDF" + b"x" * (5 * 2**20))]).status == 200


def test_files_go_with_their_last_thread(holder: Caller, owner: User) -> None:
    first, second = holder.thread(), holder.thread()
    holder.send(first, [QUESTION, image(), document()])
    holder.send(second, [QUESTION, image()])
    paths = [path_of(file) for file in StoredFile.objects.filter(user=owner).order_by("size")]
    for thread_id, left in ((first, [True, False]), (second, [False, False])):
        assert holder.call("DELETE", f"/v1/threads/{thread_id}").status == 200
        Thread.objects.filter(pk=thread_id).update(deleted_at=timezone.now() - timedelta(minutes=10))
        cleaning.purge_deleted()
        assert not Thread.objects.filter(pk=thread_id).exists()
        assert [default_storage.exists(path) for path in paths] == left
        assert StoredFile.objects.filter(user=owner).count() == sum(left)


def test_files_go_with_the_account(caller: Callable[..., Caller], database: None) -> None:
    user = User.objects.create_user("leaver@api.example.com", "correct horse battery")
    leaver = caller(user)
    leaver.send(leaver.thread(), [QUESTION, image()])
    path = path_of(StoredFile.objects.get(user=user))
    assert default_storage.exists(path)
    close_account(user)
    assert not default_storage.exists(path)
    assert not StoredFile.objects.filter(user_id=user.pk).exists()


# --- in the database, for hosts without a disk that lasts ---------------------------------------------------------------------


@pytest.fixture
def no_disk(stack: Stack, tmp_path: Path, settings: Settings) -> Iterator[Path]:
    """web keeps files in the database, on a disk of its own that nobody else sees; so does this process."""
    stack.restart("web", FILES_STORAGE="database", DATA_DIR=str(tmp_path))
    stack.wait_ready()
    settings.FILES_STORAGE = "database"
    yield tmp_path
    stack.restart("web")
    stack.wait_ready()


def test_a_host_without_a_disk_loses_no_file_and_its_processes_share_them(holder: Caller, owner: User, stack: Stack, no_disk: Path) -> None:
    thread_id = holder.thread()
    for _ in range(2):
        assert holder.send(thread_id, [QUESTION, image(), document()]).status == 200
    sent = stack.provider_bodies(1)[0]["messages"][0]["content"]
    assert [block["source"]["data"] for block in sent[1:3]] == [base64.b64encode(data).decode() for data in (PNG, PDF)]
    assert not list(no_disk.rglob("files/*"))
    stack.restart("web", FILES_STORAGE="database", DATA_DIR=str(no_disk / "new"))
    stack.wait_ready()
    block = holder.messages(thread_id)["data"][0]["content"][2]
    reply = holder.get(f"/v1/files/{block['source']['file_id']}/content")
    assert (reply.status, reply.body) == (200, PDF)
    assert {file.place for file in StoredFile.objects.filter(user=owner)} == {"database"}
    Thread.objects.filter(pk=thread_id).update(deleted_at=timezone.now() - timedelta(minutes=10))
    cleaning.purge_deleted()
    assert not FileBytes.objects.exists()


def test_a_file_is_found_where_it_was_kept_until_it_is_moved(holder: Caller, owner: User, settings: Settings) -> None:
    thread_id = holder.thread()
    holder.send(thread_id, [QUESTION, image(), document()])
    kept = list(StoredFile.objects.filter(user=owner).order_by("size"))
    path = f"/v1/files/file_{kept[0].pk.hex}/content"
    default_storage.delete(path_of(kept[1]))
    for place, other in (("database", "disk"), ("disk", "database")):
        settings.FILES_STORAGE = place
        assert holder.get(path).body == PNG
        said = StringIO()
        call_command("move_files", stdout=said)
        assert said.getvalue().startswith("1 moved, ")
        kept[0].refresh_from_db()
        assert (kept[0].place, holder.get(path).body) == (place, PNG)
        assert default_storage.exists(path_of(kept[0])) == (other == "database")
        assert FileBytes.objects.filter(file=kept[0]).exists() == (place == "database")
    assert holder.get(path.replace(kept[0].pk.hex, kept[1].pk.hex)).status == 404
    settings.FILES_STORAGE = "database"
    attachments.store_blocks(owner, Thread.objects.get(pk=thread_id).pk, [document()])
    assert holder.get(path.replace(kept[0].pk.hex, kept[1].pk.hex)).body == PDF, "sent again, it is there again"
