"""Rendered answers in a real browser, under the real policy."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, Route, sync_playwright
from pygments.token import STANDARD_TYPES
from servestatic import ServeStatic

from tests.threads.hostile import EVIL, HOSTILE
from tests.threads.markdown_page import TEXTS

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.urls("tests.threads.markdown_page")]

ANSWER = """# Title\n\nSee [the docs](https://docs.example/a) and https://bare.example/x.\n
Inline \\(a_1 + b^2\\) and\n\n$$\n\\sum_{i=1}^n i\n= \\sqrt{\\frac{n(n+1)}{2}}\n$$\n
```python\ndef f(x: int) -> str:\n    \"\"\"Doc.\"\"\"\n    return f\"{x}\"  # why\n```\n
```mermaid\ngraph TD\n  A[Start] --> B{Works?}\n  B -->|yes| C[Done]\n```\n
```mermaid\nthis is no diagram\n```\n
| Left | Right |\n|:--|--:|\n| a | 1 |\n\n- [x] done\n- [ ] open\n\n> [!WARNING]\n> Careful.\n
![A cat](https://images.example/cat.png)\n\nA note[^1] and <div> as text.\n\n[^1]: The note."""
PIXEL = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"><rect width="40" height="30" fill="teal"/></svg>'
FRAME = """new Promise(done => {
  const start = performance.now();
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
})"""  # milliseconds
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


class Trap:
    """Where every name under `.example` resolves to: each connection is a request that left. The browser's own errands do not."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.visits = 0
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def rule(self) -> str:
        return f"--host-resolver-rules=MAP *.example 127.0.0.1:{self.socket.getsockname()[1]}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return  # closed
            self.visits += 1
            connection.close()


class Visit:
    """One page, and all that it asked for and complained about."""

    def __init__(self, page: Page, url: str, trap: Trap) -> None:
        self.page, self.url, self.trap = page, url, trap
        self.before = trap.visits
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.dialogs: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._answer)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"{message.text} ({message.location['url']})")

    def _answer(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    @property
    def left(self) -> int:
        """Connections to other hosts."""
        return self.trap.visits - self.before

    def show(self, *texts: str, theme: str = "light") -> Page:
        TEXTS[:] = texts
        self.page.goto(f"{self.url}/corpus?theme={theme}")
        return self.page

    def until(self, check: Callable[[], object]) -> None:
        """Waits while the page works; `wait_for_function` would need the policy to allow eval."""
        deadline = time.monotonic() + 20
        while not check():
            assert time.monotonic() < deadline
            self.page.wait_for_timeout(20)

    def until_drawn(self) -> None:
        waiting = ".math:not([data-done]), figure.diagram:not([data-state=drawn], [data-state=undrawable])"
        self.until(lambda: self.page.evaluate("waiting => document.querySelector(waiting) === null", waiting))


@pytest.fixture(scope="module")
def trap() -> Iterator[Trap]:
    trap = Trap()
    yield trap
    trap.socket.close()


@pytest.fixture(scope="module")
def chromium(trap: Trap) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = {"executable_path": CHROMIUM} if Path(CHROMIUM).exists() else {}
        browser = playwright.chromium.launch(args=[*ARGUMENTS, trap.rule], **found)  # type: ignore[arg-type]
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The project over HTTP, without a database: these pages read no rows."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.set_app(ServeStatic(WSGIHandler(), root=str(settings.STATIC_ROOT), prefix="static/"))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def visit(chromium: Browser, site: str, trap: Trap) -> Iterator[Visit]:
    page = chromium.new_page(viewport={"width": 900, "height": 1400})
    yield Visit(page, site, trap)
    page.close()


def picture(page: Page, name: str) -> None:
    folder = Path(settings.BASE_DIR) / "artifacts"
    folder.mkdir(exist_ok=True)
    page.screenshot(path=folder / f"{name}.png", full_page=True)


def test_an_answer_with_everything_is_drawn_without_a_single_complaint(visit: Visit) -> None:
    page = visit.show(ANSWER)
    page.wait_for_selector("figure.diagram[data-state=undrawable] pre")
    visit.until_drawn()
    assert page.locator(".math-display .katex-display").count() == 1
    assert page.locator(".math-inline .katex").count() == 1
    assert page.locator(".katex-error").count() == 0
    assert page.evaluate("document.querySelector('figure.diagram[data-state=drawn] img').naturalWidth") > 50
    assert page.locator("figure.diagram[data-state=drawn] pre").is_hidden()
    page.get_by_role("button", name="Source").click()
    assert page.locator("figure.diagram[data-state=drawn] pre").is_visible()
    picture(page, "rich-light")
    page = visit.show(ANSWER, theme="dark")
    visit.until_drawn()
    picture(page, "rich-dark")
    assert visit.complaints == []
    assert visit.left == 0
    assert not [address for address in visit.requests if "frame/image" in address]


def test_nothing_heavy_loads_for_an_answer_of_words_and_code(visit: Visit) -> None:
    visit.show("Words and\n\n```py\nx = 1\n```").wait_for_load_state("networkidle")
    assert not [address for address in visit.requests if "katex" in address or "mermaid" in address or "frame" in address]


def test_what_arrives_later_is_drawn_before_it_is_seen(visit: Visit) -> None:
    page = visit.show(ANSWER)
    visit.until_drawn()
    page.evaluate("document.querySelector('section').innerHTML = '<p>a <span class=\"math math-inline\">x^2</span></p>'")
    assert page.locator(".math-inline .katex").count() == 1


def test_code_is_copied_without_its_header(visit: Visit) -> None:
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visit.show("```py\nif x < 1:\n    y = '&'\n```")
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "if x < 1:\n    y = '&'\n"


def test_an_image_loads_after_a_click_alone_and_is_not_told_where_it_is_shown(visit: Visit) -> None:
    page = visit.show("![A cat](https://images.example/cat.png?a=1&b=%20)")
    assert visit.left == 0
    asked: list[Request] = []

    def serve(route: Route) -> None:
        asked.append(route.request)
        route.fulfill(body=PIXEL, content_type="image/svg+xml")

    page.context.route("https://images.example/**", serve)
    page.get_by_role("button", name="Load image from images.example").click()
    image = page.frame_locator("iframe.remote-image-frame").locator("img")
    image.wait_for()
    visit.until(lambda: asked)
    assert [request.url for request in asked] == ["https://images.example/cat.png?a=1&b=%20"]
    headers = asked[0].all_headers()
    assert "referer" not in headers
    assert "cookie" not in headers
    assert image.evaluate("image => image.naturalWidth") == 40
    picture(page, "rich-image")
    assert visit.complaints == []


def test_an_image_frame_follows_no_redirect_to_another_host(visit: Visit) -> None:
    elsewhere = {"Location": f"https://{EVIL}/x.png"}
    page = visit.show("![A cat](https://images.example/cat.png)")
    page.context.route("https://images.example/**", lambda route: route.fulfill(status=302, headers=elsewhere))
    page.get_by_role("button", name="Load image").click()
    visit.until(lambda: any("Content Security Policy" in complaint for complaint in visit.complaints))
    assert visit.left == 0


def test_hostile_texts_run_nothing_and_ask_nobody(visit: Visit) -> None:
    page = visit.show(*HOSTILE.values())
    for _ in range(30):  # diagrams are drawn when they come near
        page.mouse.wheel(0, 2_000)
        page.wait_for_timeout(20)
    visit.until_drawn()
    assert page.evaluate("window.pwned") is None
    assert visit.dialogs == []
    assert visit.left == 0
    # The page itself gives its policy nothing to refuse; what Mermaid tries is refused in its frame.
    assert [complaint for complaint in visit.complaints if "/vendor/mermaid/" not in complaint and "/frame/diagram" not in complaint] == []
    assert page.locator("main > section").count() == len(HOSTILE)  # nothing has closed or swallowed its neighbour
    assert page.locator("main :is(script, style, iframe, object, embed, form, textarea, [onclick], [onerror], [onload])").count() == 0


def test_the_host_beside_a_link_is_the_one_the_browser_goes_to(visit: Visit) -> None:
    addresses = ("https://bank.example@evil.example", "https://bank.example%5C@evil.example/", "https://evil.example\\\\@bank.example")
    more = (
        "https://%65vil.example",
        "https://EVIL.example:8443/a",
        "https://аррӏе.com",
        "https://evil.example.",
        "https://bank.example?@evil.example",
    )
    odd = (
        "https://0x7f.1",
        "https://evil%2eexample",
        "https://faß.de",
        "https://evil。example",
        "https://a_b.example",
        "https://[::1]/",
        "https://1",
    )
    page = visit.show("\n\n".join(f"[x]({address})" for address in (*addresses, *more, *odd)))
    links = page.eval_on_selector_all("a[data-host]", "links => links.map(link => [link.dataset.host, link.hostname])")
    assert len(links) > 8
    assert [(shown, real) for shown, real in links if shown != real] == []


HUGE = {"quotes": ">" * 10_000 + " deep", "words": "word " * 1_000_000, "letters": "x" * 5_000_000}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE)
def test_the_page_stays_responsive_with_a_huge_text(visit: Visit, text: str) -> None:
    page = visit.show(text)
    assert page.evaluate(FRAME) < 1_000
    assert visit.left == 0


def test_the_trap_notices_a_request(visit: Visit) -> None:
    """Without this, the tests above would hold for a browser that reaches nothing."""
    page = visit.show("[x](http://evil.example)")
    page.evaluate("document.querySelector('a').target = ''")
    page.get_by_role("link").click(no_wait_after=True)
    visit.until(lambda: visit.left)


CONTRASTS = """kinds => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const luminance = colour => {
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map(v => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const figure = document.querySelector("figure.code"), code = figure.querySelector("code");
  const page = luminance(getComputedStyle(figure).backgroundColor);
  return kinds.map(kind => {
    const span = Object.assign(document.createElement("span"), { className: kind, textContent: "x" });
    code.append(span);
    const ink = luminance(getComputedStyle(span).color);
    return [kind, (Math.max(ink, page) + 0.05) / (Math.min(ink, page) + 0.05)];
  });
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_colour_of_code_can_be_read(visit: Visit, theme: str) -> None:
    page = visit.show("```py\nx\n```", theme=theme)
    kinds = sorted({kind for kind in STANDARD_TYPES.values() if kind})
    contrasts = page.evaluate(CONTRASTS, kinds)
    assert [(kind, round(contrast, 1)) for kind, contrast in contrasts if contrast < 4.5] == []
