"""What people write in Markdown, and what they see."""

import re
import time

import pytest

from tests.threads.test_markdown_hostile import inspect
from threads import markdown
from threads.markup.code import MAX_CHARS, MAX_LINE, highlight


def words(html: str) -> str:
    return " ".join(inspect(html).text.split())


def test_tables_keep_their_alignment_and_scroll_in_a_box_of_their_own() -> None:
    html = markdown.render("| a | b | c |\n|:--|:-:|--:|\n| 1 | 2 | 3 |")
    assert re.findall(r'<td align="(\w+)">', html) == ["left", "center", "right"]
    assert html.startswith('<div class="table-scroll" role="region"')
    assert html.rstrip().endswith("</table></div>")


def test_task_lists_show_what_is_done_and_cannot_be_changed() -> None:
    html = markdown.render("- [x] one\n- [ ] two")
    assert re.findall(r"<input[^>]*>", html) == [
        '<input type="checkbox" disabled checked aria-label="Done">',
        '<input type="checkbox" disabled aria-label="To do">',
    ]


def test_footnotes_of_two_messages_on_a_page_do_not_meet() -> None:
    one, two = (markdown.render(f"{word}[^1]\n\n[^1]: note") for word in ("a", "b"))
    targets = [re.search(r'href="#(fn-[^"]+)"', html) for html in (one, two)]
    assert all(target and f'id="{target[1]}"' in html for target, html in zip(targets, (one, two), strict=True))
    assert len({target and target[1] for target in targets}) == 2


def test_code_has_a_header_a_copy_button_and_colours() -> None:
    html = markdown.render('```py title="x"\nx = "<b>"  # why\n```')
    assert "<figcaption><span>Python</span>" in html
    assert "data-copy" in html
    assert '<span class="s2">&quot;&lt;b&gt;&quot;</span>' in html or '<span class="s2">"&lt;b&gt;"</span>' in html


@pytest.mark.parametrize(
    ("info", "label"),
    [
        ("js {1,3}", "JavaScript"),
        ("{python}", "Python"),
        ("python:app.py", "Python"),
        ("c++", "C++"),
        ("C#", "C#"),
        ("", "text"),
        ("zzz", "zzz"),
    ],
)
def test_a_code_block_names_its_language(info: str, label: str) -> None:
    assert f"<figcaption><span>{label}</span>" in markdown.render(f"```{info}\nx\n```")


def test_colouring_changes_no_letter_of_the_code() -> None:
    code = "\n\n  def f():\r\n\treturn '''<é>&amp;'''\n\n\n"
    html = highlight("python", code)
    assert html is not None
    assert inspect(html).text.replace("\r\n", "\n") == code.replace("\r\n", "\n")


@pytest.mark.parametrize("code", ["x = 1\n" * MAX_CHARS, "a=b " * MAX_LINE])
def test_code_that_is_too_much_for_colours_is_shown_without(code: str) -> None:
    html = markdown.render(f"```ini\n{code}\n```")
    assert "<figure" in html
    assert "<span class=" not in html
    assert code.strip() in inspect(html).text


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        ("$a_1 * b$ and $$c$$", ["a_1 * b", "c"]),
        (r"so \(a_1\) and \[ b \]", ["a_1", "b"]),
        ("$$\na\n+ b\n= c\n$$", ["a + b = c"]),
        ("\\[\na % why\n- b\n\\]", ["a - b"]),
        ("> $$\n> a\n> # b\n> $$", ["a # b"]),
        ("- x \\[\n  a\n  + b\n  \\]", ["a + b"]),
        (r"\begin{x} \\(a\\) `\(b\)` " + "\n\n```\n\\[c\\]\n```", []),
        ("it costs $5-$10, $20 (or $30), $1,000 and US$ 5", []),
        ("\\[ never closed\n\nnext \\]", []),
        (r"\( \)", []),
    ],
)
def test_formulas_are_found_as_models_write_them_and_money_is_not(text: str, formulas: list[str]) -> None:
    assert re.findall(r'<span class="math[^>]*>([^<]*)</span>', markdown.render(text)) == formulas


def test_money_reads_as_it_was_written() -> None:
    assert words(markdown.render("it costs $5-$10 and *not* $20-$30")) == "it costs $5-$10 and not $20-$30"


def test_plain_addresses_become_links_without_the_sentence_around_them() -> None:
    html = markdown.render(
        "See https://a.example/x_(y)?b=1&c=2, (https://b.example). `https://c.example` [https://d.example](https://d.example)"
    )
    assert re.findall(r'href="([^"]*)"', html) == ["https://a.example/x_(y)?b=1&amp;c=2", "https://b.example", "https://d.example"]


def test_links_open_elsewhere_and_give_nothing_away() -> None:
    html = markdown.render("[docs](https://a.example 'The docs') <me@a.example>")
    assert 'title="The docs" rel="noopener noreferrer nofollow" target="_blank" data-host="a.example"' in html
    assert 'href="mailto:me@a.example"' in html


def test_a_mermaid_fence_is_a_diagram_with_its_source_and_an_open_one_is_code() -> None:
    assert '<figure class="diagram">' in markdown.render("```mermaid\ngraph TD\n```")
    assert '<figure class="code">' in markdown.open_fence_html("mermaid", "graph", "text-1")


def test_a_persons_own_message_keeps_every_space_and_line() -> None:
    assert markdown.render_plain("a  b\n\n    c *d* <e>") == '<div class="plain">a  b\n\n    c *d* &lt;e&gt;</div>'


HUGE = {
    "one line of 5 MB": "word " * 1_000_000,
    "nested quotes": ">" * 10_000 + " deep",
    "nested quotes, 5 MB": "> " * 2_500_000,
    "nested lists": "- " * 200_000 + "deep",
    "backticks": "`" * 100_000,
    "runs of backticks": " ".join("`" * (i % 3_000 + 1) for i in range(300)),
    "a table": "|a|b|\n|-|-|\n" + "|1|2|\n" * 60_000,
    "a wide table": "|" + "a|" * 20_000 + "\n|" + "-|" * 20_000 + "\n" + "|\n" * 100,
    "brackets": "[" * 400_000,
    "emphasis": "*a _b " * 80_000,
    "html blocks": "<div>\n\n" * 50_000,
    "inline html": "<b>" * 50_000,
    "angle brackets": "<" * 400_000,
    "entities": "&amp;" * 59_000,
    "formulas": "\\(" * 29_000,
    "dollars": "$5-$1 " * 29_000,
    "addresses": "http://a.b/((((()))) " * 23_000,
    "an address of brackets": "http://a.b/" + "()" * 1_000 + ")" * 400_000,
    "an address of dots": "http://a.b/" + "." * 400_000 + "x",
    "links": "[a](http://x.y) " * 25_000,
    "footnotes": "".join(f"[^{i}]" for i in range(10_000)) + "".join(f"\n\n[^{i}]: x" for i in range(10_000)),
    "fences": "```x\na\n```\n" * 4_000,
    "unknown languages": "".join(f"```l{i}\na\n```\n" for i in range(4_000)),
    "code of 1 MB": "```python\n" + "x = f(1)  # why\n" * 60_000 + "```",
    "much code": "".join(f"```python\n{i}\n{'x = f(1)  # why' * 20}\n```\n" for i in range(1_000)),
}


@pytest.mark.parametrize("name", HUGE)
def test_texts_made_to_cost_much_are_shown_within_a_moment(name: str) -> None:
    text = HUGE[name]
    began = time.process_time()
    html = markdown.render(text)
    markdown.open_fence(text)
    assert time.process_time() - began < 2  # seconds of this process; about 0.5 on a quiet machine
    assert len(html) > 100
    assert "could not be displayed" not in html
