"""Messages are cut where a reader would."""

import random
from itertools import pairwise

from search.chunks import MOST, PIECE, TARGET, passages, tokens

SENTENCE = "The ferry to the island leaves at nine in the morning from the second pier. "
CODE = "```python\ndef total(rows):\n    return sum(row.price for row in rows)\n```"
TABLE = "| port | time |\n|---|---|\n| Kiel | 9:00 |\n| Oslo | 14:30 |"


def test_a_short_message_is_one_passage_as_it_was_written() -> None:
    assert passages("Where is the ferry?\n\nAnd when?") == ["Where is the ferry?\n\nAnd when?"]


def test_nothing_to_read_makes_no_passage() -> None:
    assert passages("") == passages(" \n\t\n ") == passages("\x02\x03") == []


def test_a_long_message_is_cut_between_paragraphs_when_there_are_some() -> None:
    paragraphs = [f"Paragraph {number}. " + SENTENCE * 5 for number in range(9)]
    for passage in passages("\n\n".join(paragraphs)):
        assert passage.rstrip().endswith("second pier."), "the end of a paragraph"


def test_neighbours_overlap_and_no_passage_is_longer_than_a_model_reads() -> None:
    found = passages(" ".join(f"Sentence number {number} says something." for number in range(200)))
    assert len(found) > 3
    for before, after in pairwise(found):
        assert after.split(".")[0] in before
    assert all(TARGET // 2 <= tokens(passage) <= MOST for passage in found[:-1])


def test_code_and_tables_stay_whole() -> None:
    found = passages(f"{SENTENCE * 9}\n\n{CODE}\n\n{SENTENCE * 9}\n\n{TABLE}\n\n{SENTENCE * 9}")
    assert len(found) > 1
    assert any(CODE in passage for passage in found)
    assert any(TABLE in passage for passage in found)


def test_code_that_is_too_long_is_cut_between_its_lines() -> None:
    lines = [f"    total_{number} = price_{number} * count_{number}" for number in range(120)]
    found = passages("```python\n" + "\n".join(lines) + "\n```")
    assert len(found) > 2
    assert [line for line in lines if not any(line.strip() in passage for passage in found)] == []


def test_no_word_is_lost_whatever_is_written() -> None:
    chance = random.Random(6)
    parts = ["word{}", " ", "\n", "\n\n", ". ", "```\n", "| a | b |\n", "~~~", "(x)", "\t", "! ", "- item {}\n"]
    for _ in range(200):
        text = "".join(chance.choice(parts).format(chance.randrange(500)) for _ in range(chance.randrange(600)))
        found = passages(text)
        assert {*PIECE.findall(text)} == {*PIECE.findall(" ".join(found))}
        assert all(tokens(passage) <= MOST for passage in found)


def test_one_endless_word_and_a_message_of_the_greatest_length_are_cut_too() -> None:
    for text in ("a" * 100_000, "word " * 40_000, "字" * 50_000):
        found = passages(text)
        assert all(tokens(passage) <= TARGET for passage in found[:1])
        assert sum(len(passage) for passage in found) >= len(text.replace(" ", ""))
