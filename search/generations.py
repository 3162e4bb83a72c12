"""The life of a generation of the index: begun, filled with every message there is, put in the place of the one before, forgotten."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from search import index
from search.choice import configured
from search.models import Generation, LargeOwner, Passage
from threads.models import Message

AT_ONCE = 200  # messages
KEPT = timedelta(minutes=2)  # a replaced generation stays for searches that have just begun
ERASED_AT_ONCE = 5000
GIVEN_UP = 5  # tries after which a passage without a vector keeps nothing waiting
# Passages of one owner, above which its searches go by index: of words, which costs nothing but space, and of neighbours, which
# misses one now and then. Below that each is looked at.
LARGE, HUGE = 5_000, 50_000
MARKED_AT_ONCE = 500  # each takes milliseconds in the index of neighbours, and a change of the path waits for it

NEXT = f"""
SELECT m.id, {index.TEXT} FROM threads_message m WHERE m.id = ANY(%(messages)s) AND {index.ENDS}
"""
FIND_LARGE = """
INSERT INTO search_largeowner AS l (user_id, since, ready, huge)
SELECT user_id, now(), false, max(passages) > %(huge)s
FROM (SELECT user_id, count(*) AS passages FROM search_passage GROUP BY user_id, generation_id HAVING count(*) > %(large)s) counted
GROUP BY user_id
ON CONFLICT (user_id) DO UPDATE SET huge = true WHERE excluded.huge AND NOT l.huge
"""
MARK_LARGE = """
UPDATE search_passage p SET large = true, huge = l.huge FROM search_largeowner l WHERE l.user_id = p.user_id AND p.id IN (
    SELECT p.id FROM search_passage p JOIN search_largeowner l ON l.user_id = p.user_id WHERE NOT p.large OR p.huge <> l.huge LIMIT %s)
"""


def ensure() -> None:
    """There is one that answers, and one of the model that is configured is being filled where that is another."""
    wanted = configured()
    models = dict(Generation.objects.exclude(state=Generation.State.RETIRED).values_list("state", "model"))
    if wanted == models.get("filling", models.get("serving")):
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('search_generation'))")
        models = dict(Generation.objects.exclude(state=Generation.State.RETIRED).values_list("state", "model"))
        if "serving" not in models:
            begin(wanted, Generation.State.SERVING)
        elif wanted != models.get("filling", models["serving"]):
            retire(Generation.State.FILLING)
            if wanted != models["serving"]:
                begin(wanted, Generation.State.FILLING)


def models() -> list[str]:
    """Whose vectors may be asked for: of what answers, and of what will."""
    known = Generation.objects.exclude(state=Generation.State.RETIRED).values_list("model", flat=True)
    return sorted({configured(), *known})


def rebuild() -> Generation:
    """Begin a new generation of the configured model beside the one that answers; one that was begun before is dropped."""
    ensure()
    with transaction.atomic():
        retire(Generation.State.FILLING)
        return begin(configured(), Generation.State.FILLING)


def begin(model: str, state: Generation.State) -> Generation:
    serving_at = timezone.now() if state == Generation.State.SERVING else None
    return Generation.objects.create(model=model, state=state, messages_total=Message.objects.count(), serving_at=serving_at)


def retire(state: Generation.State) -> None:
    Generation.objects.filter(state=state).update(state=Generation.State.RETIRED, retired_at=timezone.now())


def fill(most: int = AT_ONCE) -> bool:
    """Bring the next messages into a generation that is not filled yet; False when there is none (or another process is at it)."""
    with transaction.atomic():
        unfilled = Generation.objects.exclude(state=Generation.State.RETIRED).filter(filled_at=None)
        generation = unfilled.select_for_update(skip_locked=True).order_by("id").first()
        if generation is None:
            return False
        ids = _after(generation.filled_to, most)
        index.store(index.sources(NEXT, {"messages": ids}), generation.pk)
        generation.messages_done += len(ids)
        if ids:
            generation.filled_to = ids[-1]
        else:
            generation.filled_at = timezone.now()
        generation.save(update_fields=["filled_to", "filled_at", "messages_done"])
    return True


def _after(last: UUID | None, most: int) -> list[UUID]:
    messages = Message.objects.order_by("id") if last is None else Message.objects.filter(pk__gt=last).order_by("id")
    return list(messages.values_list("pk", flat=True)[:most])


def promote() -> bool:
    """Let the filled generation answer from now on, once it has all of its vectors (or the one before has none); whether it does."""
    with transaction.atomic():
        filling = Generation.objects.select_for_update().filter(state=Generation.State.FILLING).exclude(filled_at=None).first()
        if filling is None or (waiting(filling.pk) and _meant()):
            return False
        retire(Generation.State.SERVING)
        Generation.objects.filter(pk=filling.pk).update(state=Generation.State.SERVING, serving_at=timezone.now())
    return True


def waiting(generation: int) -> bool:
    """Whether passages of it are to get a vector."""
    return Passage.objects.filter(generation=generation, due_at__isnull=False, tries__lt=GIVEN_UP).exists()


def _meant() -> bool:
    """Whether the generation that answers has vectors, which would be missed."""
    return Passage.objects.filter(generation__state=Generation.State.SERVING, vector__isnull=False).exists()


def forget() -> int:
    """Erase passages of generations that were replaced; how many."""
    erased = 0
    for generation in Generation.objects.filter(state=Generation.State.RETIRED, retired_at__lt=timezone.now() - KEPT):
        doomed = Passage.objects.filter(generation=generation)
        erased += (some := doomed.filter(pk__in=doomed.values("pk")[:ERASED_AT_ONCE]).delete()[0])
        if not some:
            generation.delete()
    return erased


def find_large() -> int:
    """Mark the passages of owners who have become large; how many. With the last of them, indexes answer."""
    with connection.cursor() as cursor:
        if not LargeOwner.objects.exclude(ready=True, huge_ready=F("huge")).exists():  # first those who were found before
            cursor.execute(FIND_LARGE, {"large": LARGE, "huge": HUGE})
        if not LargeOwner.objects.exists():
            return 0
        cursor.execute(MARK_LARGE, [MARKED_AT_ONCE])
        marked = int(cursor.rowcount)
    if marked < MARKED_AT_ONCE:
        LargeOwner.objects.update(ready=True, huge_ready=F("huge"))
    return marked
