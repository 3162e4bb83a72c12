"""Two tabs that write into one thread as fast as they can."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.billing.spending import lift_limits
from tests.page import Page
from tests.running import World
from threads.models import Message, Turn

EACH = 200


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_two_tabs_send_two_hundred_messages_each_and_show_the_same_order(world: World) -> None:
    user = world.person()
    lift_limits(user)
    one = world.page(user)
    assert one.send("[[tokens=2]] first", "claude-haiku-4-5", new=True).status == 204
    two = world.page(user, one.thread_id)

    def write(page: Page) -> None:
        name = "one" if page is one else "two"
        for number in range(EACH):
            assert page.send(f"[[tokens=2]] {name} {number}", "claude-haiku-4-5", draw=True).status == 204

    one.open()
    two.open()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, (one, two)))
    turns = world.settled(one.thread_id, seconds=180)
    assert {turn.status for turn in turns} == {"done"}
    assert [turn.first_seq for turn in turns] == list(range(1, 4 * EACH + 3, 2)), "answered in the order of sending"
    seqs = Message.objects.filter(thread_id=one.thread_id).order_by("seq").values_list("seq", "role", "turn__number")
    assert list(seqs) == [
        row for number in range(1, 2 * EACH + 2) for row in ((2 * number - 1, "user", number), (2 * number, "assistant", number))
    ]
    for page in (one, two):
        page.until(lambda p: len(p.turns) == 2 * EACH + 1 and p.over, 30)
        assert page.numbers == list(range(1, 2 * EACH + 2)), "the page shows them in their order"
    assert one.transcript == two.transcript
    assert [role for role, _ in one.transcript] == ["user", "assistant"] * (2 * EACH + 1)
    for name in ("one", "two"):
        mine = [text.rsplit(" ", 1)[-1] for text in one.questions if f" {name} " in text]
        assert mine == [str(number) for number in range(EACH)], "each tab's own messages in the order it sent them"
    assert Turn.objects.filter(thread_id=one.thread_id).count() == 2 * EACH + 1
