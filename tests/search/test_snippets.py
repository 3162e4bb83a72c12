"""What is shown of a passage."""

from search.snippets import LENGTH, MARK, UNMARK, around

WORDS = "one two three four five six seven eight nine ten "


def marked(text: str, *words: str) -> tuple[str, str]:
    folded = text
    for word in words:
        folded = folded.replace(word, f"{MARK}{word}{UNMARK}")
    return text, folded


def test_a_short_passage_is_shown_whole_with_its_marks() -> None:
    snippet, marks = around(marked("The ferry leaves at nine.\nBe there early.", "ferry", "early"))
    assert snippet == "The ferry leaves at nine. Be there early."
    assert [snippet[start:stop] for start, stop in marks] == ["ferry", "early"]


def test_a_long_one_is_cut_between_words_around_most_of_what_matched() -> None:
    text = f"A ferry first. {WORDS * 12}The ferry to the island leaves early. {WORDS * 12}"
    snippet, marks = around(marked(text, "ferry", "island", "early"))
    assert snippet.startswith("…")
    assert snippet.endswith("…")
    assert len(snippet) <= LENGTH + 2
    assert [snippet[start:stop] for start, stop in marks] == ["ferry", "island", "early"]
    assert all(word in text.split() for word in snippet.strip("…").split())


def test_without_a_match_it_begins_at_the_beginning() -> None:
    snippet, marks = around(marked(WORDS * 20))
    assert snippet.startswith("one two three")
    assert marks == []
