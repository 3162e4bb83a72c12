# ruff: noqa: E501  (the corpus)
"""An answer that grows, cut into closed blocks and a rest, looks at every moment as if it had been rendered whole."""

import random
import re
from collections.abc import Iterable

import pytest

from threads import markdown

CORPUS = {
    "everything": (
        "# Title\n\nIntro *with*\nsecond line\n\n- a\n- b\n\n  more\n\n  ```py\n  x = 1\n\n  y\n  ```\n- c\n\n1. one\n\n2. two\n\n   para\n\n10. ten\n\n"
        "after\n***\n***bold** it*\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nSetext\n===\n\nOther\nline\n---\n\n> q\nlazy\n> > nested\n\n    code\n\n    more\n\nend"
    ),
    "interrupted paragraphs": (
        "Para\n```js\nlet a\n\n```\nPara\n~~~\ncode ``` x\n~~~\n```a`b``` inline\nmore\n#hash\n# head\n#\n***\n***b***\ntext\n***b***\n"
    ),
    "lists": (
        "1. a\n\n\n2. b\n2024 was\n\n3 cats\n\n4. d\n- x\n+ y\n* z\n\n* w\n*not*\n\n- [ ] t\n- [x] u\n\n\n\ntext\n\t- tab\n\n   - in\n   - in\n\n- 1\n\n-\n- 3\n"
    ),
    "nested lists": (
        "- a\n  - b\n    - c\n\n    d\n\n  e\n\nf\n- a\n\n\n- b\n\n      code\n\n1) x\n2) y\n1. z\n\n- > q\n  > r\n\n  lazy\n- # h\n- ```\n  x\n- y\n\n"
        "```\nunclosed\n\n- a\n"
    ),
    "formulas": (
        "$$\na\n+ b\n- c\n$$\n\n\\[\nx\n\n+ y\n\\]\n\ntext \\(a\n* b\\) more\n- item \\[ q\n+ r \\]\n\n> $$\n> a\n> # b\n> $$\n\n`$$`\n```\n$$\n```\n"
        "cost $5-$10\nand $x$\n"
    ),
    "html": (
        "<b>\n\ntext</b> <kbd>\n\nx</kbd>\n<details>\n<summary>S</summary>\n\nbody\n\n</details>\n\n<script>\na\n\nb</script>\nafter\n<pre>\n\nx</pre> y\n\n"
        "<?php\n\n?>\n\n<foo>\nbar\n\n<x>y</x>\n<b\ntitle=x>z</b>\n<!-- c\n\nd -->\ne"
    ),
    "other letters": "äöü 日本 🎉\n\n- ä\n- 🎉\n\n日本語\n====\n\n| ü |\n|---|\n| é |\ntail\n\n> [!NOTE]\n> hé\n\nx",
    "windows lines": "a\r\n\r\n- b\r\n- c\r\n\r\n```\r\ncode\r\n```\r\n\r\nd\r\ne\r\n# f\r\n\r\n1. a\r\n\r\n2. b\r\n",
    "tables": "x\n| a | b |\n| - | - |\n| 1 | 2\ny\n# h\n| a |\n|-|\n#x\n> q\n\nt\n\n|a|\n|-|\n***x***\n***\nb\n|x|\n|-|-|\n",
}
ATOMS = [
    *(
        "a",
        "b\n",
        "\n",
        "\n\n",
        "- ",
        "* ",
        "1. ",
        "2",
        "2. ",
        "  ",
        "    ",
        "> ",
        "#",
        "# ",
        "```",
        "```\n",
        "~~~\n",
        "|a|b|\n",
        "|-|-|\n",
        "***",
    ),
    *(
        "---",
        "\n---\n",
        "===\n",
        "<div>",
        "</div>\n",
        "<!--",
        "-->",
        "<b>",
        "$$",
        "\\[",
        "\\]",
        "\\(",
        "\\)",
        "`",
        "*",
        "**",
        "_",
        "[x](y)",
        "word ",
    ),
    *("+ ", "1)", "\t", "- [ ] ", "$5-$10 ", "é", "<pre>", "</pre>", "<script>", "</script>", "|", "<br>", "&amp;", "\\\n", "  \n"),
]


def settled(html: str) -> str:
    return re.sub(r"\s*\n\s*", "\n", html).strip()


def follow(text: str, ends: Iterable[int]) -> None:
    """Stream `text`, stopping at every end, and compare."""
    closed: list[str] = []
    done = 0
    for end in ends:
        cut = markdown.closed_prefix(text[done:end])
        if cut:
            closed.append(markdown.render(text[done : done + cut]))
            done += cut
        in_parts = "\n".join([*closed, markdown.render(text[done:end])])
        assert settled(in_parts) == settled(markdown.render(text[:end])), (text[:end], done)


@pytest.mark.parametrize("name", CORPUS)
def test_an_answer_in_parts_is_the_answer_letter_by_letter(name: str) -> None:
    follow(CORPUS[name], range(1, len(CORPUS[name]) + 1))


@pytest.mark.parametrize("seed", range(40))
def test_an_answer_in_parts_is_the_answer_for_any_mixture(seed: int) -> None:
    dice = random.Random(seed)
    text = "".join(dice.choice(ATOMS) for _ in range(dice.randint(3, 40)))
    follow(text, range(1, len(text) + 1))
    follow(text, sorted({dice.randint(1, len(text)) for _ in range(5)}))


def test_finished_blocks_are_let_go_soon() -> None:
    """Paragraphs, lists and code of an ordinary answer close as soon as the next block has begun."""
    text = "First words.\n\n- one\n- two\n\n```py\nx = 1\n```\n\nLast words"
    cuts = {markdown.closed_prefix(text[:end]) for end in range(len(text) + 1)}
    assert cuts == {0, text.index("- one"), text.index("```py"), text.index("Last")}


def test_code_right_after_a_sentence_is_open_as_soon_as_its_first_line_is() -> None:
    text = "Like this:\n```py\nx = "
    cut = markdown.closed_prefix(text)
    assert markdown.open_fence(text[cut:]) == ("py", len("```py\n"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("```\n", ("", 4)),
        ("\n```python title=x\nx", ("python title=x", 19)),
        ("~~~~ a`b\n~~~\nx", ("a`b", 9)),
        ("````\n```\n", ("", 5)),
        ("```js\r\nx", ("js", 7)),
        ("```py", None),
        ("```a`b\n", None),
        ("```\nx\n```", None),
        ("```\nx\n  ````  \n", None),
        ("text\n```\nx", None),
        ("- ```\n  x", None),
    ],
)
def test_an_open_code_block_is_recognised(text: str, found: tuple[str, int] | None) -> None:
    assert markdown.open_fence(text) == found


def test_an_open_code_block_has_the_shape_of_a_finished_one() -> None:
    code = "a < b\n"
    grown = markdown.open_fence_html("text", code[:3], "text-1").replace("</code>", markdown.escape(code[3:]) + "</code>")
    assert grown.replace(' id="text-1"', "") == markdown.render(f"```text\n{code}```").strip()
