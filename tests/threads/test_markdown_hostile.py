"""Whatever a model or a person writes: only known elements with known attributes come out, and they ask for nothing."""

import re
from html.parser import HTMLParser

import pytest

from tests.threads.hostile import HOSTILE
from threads import markdown

PLAIN = "p br hr h1 h2 h3 h4 h5 h6 em strong del s sub kbd mark u b i ins small ul li pre thead tbody tr table figcaption"
ALLOWED: dict[str, dict[str, str]] = {
    **{tag: {} for tag in PLAIN.split()},
    "a": {
        "href": r"(https?://|mailto:|#fn-).*",
        "title": ".*",
        "rel": "noopener noreferrer nofollow",
        "target": "_blank",
        "data-host": r"[\w.:-]*",
    },
    "blockquote": {"class": "markdown-alert-[a-z]+"},
    "button": {"type": "button", "class": "copy|remote-image", "data-copy": "", "data-image": "https?://.*"},
    "code": {},
    "div": {"class": "table-scroll|footnote-definition", "id": "fn-.+", "role": "region", "aria-label": "Table", "tabindex": "0"},
    "figure": {"class": "code|diagram"},
    "input": {"type": "checkbox", "disabled": "", "checked": "", "aria-label": "Done|To do"},
    "ol": {"start": "[0-9]+"},
    "pre": {"tabindex": "0"},
    "span": {"class": "math math-(inline|display)|[a-z][a-z0-9]{0,2}"},
    "sup": {"class": "footnote-(reference|definition-label)"},
    "td": {"align": "left|center|right"},
    "th": {"align": "left|center|right"},
}
VOID = {"br", "hr", "input"}


class Inspector(HTMLParser):
    """Collects what is not allowed, and whether every element is closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = ALLOWED.get(tag)
        if known is None:
            self.faults.append(f"<{tag}>")
            return
        self.faults += [
            f"<{tag} {name}={value}>" for name, value in attrs if name not in known or not re.fullmatch(known[name], value or "", re.S)
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.faults.append(f"<!--{data}-->")

    def handle_decl(self, decl: str) -> None:
        self.faults.append(f"<!{decl}>")

    def handle_pi(self, data: str) -> None:
        self.faults.append(f"<?{data}>")


def inspect(html: str) -> Inspector:
    inspector = Inspector()
    inspector.feed(html)
    inspector.close()
    return inspector


@pytest.mark.parametrize("name", HOSTILE)
def test_only_known_elements_come_out(name: str) -> None:
    seen = inspect(markdown.render(HOSTILE[name]))
    assert seen.faults == []
    assert seen.open == []
    assert seen.text.strip()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_persons_own_text_is_shown_letter_by_letter(name: str) -> None:
    text = HOSTILE[name]
    seen = inspect(markdown.render_plain(text).removeprefix('<div class="plain">').removesuffix("</div>"))
    assert seen.faults == []
    assert seen.text == "".join("\ufffd" if letter == "\0" or "\ud800" <= letter <= "\udfff" else letter for letter in text)


@pytest.mark.parametrize("name", HOSTILE)
def test_text_for_an_open_code_block_stays_text(name: str) -> None:
    html = markdown.open_fence_html(HOSTILE[name][:200], HOSTILE[name], "text-1")
    assert inspect(html.replace('<code id="text-1">', "<code>")).faults == []
    assert inspect(markdown.escape(HOSTILE[name])).faults == []


@pytest.mark.parametrize("name", HOSTILE)
def test_no_half_of_a_hostile_text_is_worse_than_the_whole(name: str) -> None:
    text = HOSTILE[name][:2_000]
    for end in range(0, len(text), 7):
        assert inspect(markdown.render(text[:end])).faults == []
        assert inspect(markdown.render(text[end:])).faults == []


def test_words_in_unknown_tags_are_not_lost() -> None:
    html = markdown.render("Use `Vec` or Vec<int> and <thinking>hm</thinking>.\n\n<details>\n<summary>More</summary>\n\nbody\n\n</details>")
    shown = " ".join(inspect(html).text.split())
    assert shown == "Use Vec or Vec<int> and <thinking>hm</thinking>. <details> <summary>More</summary> body </details>"


def test_a_link_says_where_it_leads_when_its_words_do_not() -> None:
    html = markdown.render("[bank.example](https://bank.example/x) [bank](https://bank.example@evil.example/) [x](https://аррӏе.com)")
    hosts = [re.search('data-host="([^"]*)"', link) for link in html.split("<a ")[1:]]
    assert [host and host[1] for host in hosts] == [None, "evil.example", "xn--80ak6aa92e.com"]


@pytest.mark.parametrize(
    ("link", "host"),
    [
        ("[https://bank.example](https://evil.example)", "evil.example"),
        ("[bank.example/?evil.example](https://evil.example)", "evil.example"),
        ("[x](https://bank.example%5C@evil.example)", "evil.example"),
        ("[x](https://evil.example\\@bank.example)", "bank.example"),  # the backslash is percent-encoded on the way, so it is a name
        ("[x](https://%65vil.example)", "evil.example"),
        ("[x](https://bank.example:pass@evil.example:8443/a)", "evil.example"),
    ],
)
def test_the_host_beside_a_link_is_the_one_a_browser_goes_to(link: str, host: str) -> None:
    assert f'data-host="{host}"' in markdown.render(link)


def test_images_wait_for_a_click_and_name_their_host() -> None:
    html = markdown.render("![A cat](https://images.example/cat.png?a=1&b=2)")
    assert "<img" not in html
    assert 'data-image="https://images.example/cat.png?a=1&amp;b=2"' in html
    assert "Load image from images.example: A cat" in html


def test_an_image_address_that_no_one_may_load_leaves_its_words() -> None:
    html = markdown.render("![A cat](data:image/png;base64,AAAA) ![a dog](/files/dog.png)")
    assert "button" not in html
    assert inspect(html).text.split() == ["A", "cat", "a", "dog"]


def test_a_message_that_breaks_the_renderer_shows_a_note_and_logs_no_word_of_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(html: str) -> str:
        raise ValueError(html)

    monkeypatch.setattr(markdown, "dress", explode)
    html = markdown.render("my secret words")
    assert "could not be displayed" in inspect(html).text
    assert "15 characters" in caplog.text
    assert "secret" not in caplog.text
