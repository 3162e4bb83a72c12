"""What a page shows while an answer grows, over the real socket."""

from tests.threads.conftest import World


def test_an_answer_streams_onto_the_page_and_is_the_history_at_the_end(world: World) -> None:
    page = world.page(world.person())
    assert page.send("[[tokens=40 delay=5]]", "claude-haiku-4-5", new=True).status == 204
    page.open()
    page.until(lambda p: p.over)
    assert page.answer() == "".join(f"w{n} " for n in range(40))
