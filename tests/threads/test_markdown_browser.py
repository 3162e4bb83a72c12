"""Rendered answers in a real browser, under the real policy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from playwright.sync_api import Browser, Page, Request, sync_playwright
from servestatic import ServeStatic

from tests.threads.markdown_page import TEXTS

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.urls("tests.threads.markdown_page")]

ANSWER = """# Title\n\nSee [the docs](https://docs.example/a) and https://bare.example/x.\n
Inline \\(a_1 + b^2\\) and\n\n$$\n\\sum_{i=1}^n i\n= \\sqrt{\\frac{n(n+1)}{2}}\n$$\n
```python\ndef f(x: int) -> str:\n    \"\"\"Doc.\"\"\"\n    return f\"{x}\"  # why\n```\n
```mermaid\ngraph TD\n  A[Start] --> B{Works?}\n  B -->|yes| C[Done]\n```\n
```mermaid\nthis is no diagram\n```\n
| Left | Right |\n|:--|--:|\n| a | 1 |\n\n- [x] done\n- [ ] open\n\n> [!WARNING]\n> Careful.\n
![A cat](https://images.example/cat.png)\n\nA note[^1] and <div> as text.\n\n[^1]: The note."""
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


class Visit:
    """One page, and all that it asked for and complained about."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.dialogs: list[str] = []
        page.context.route(lambda address: not address.startswith(url), self._refuse)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))

    def _refuse(self, route: object, request: Request) -> None:
        self.requests.append(request.url)
        route.abort()  # type: ignore[attr-defined]

    @property
    def foreign(self) -> list[str]:
        return [address for address in self.requests if not address.startswith((self.url, "data:", "blob:"))]

    def show(self, text: str, **query: str) -> Page:
        TEXTS["one"] = text
        self.page.goto(f"{self.url}/corpus/one?{'&'.join(f'{name}={value}' for name, value in query.items())}")
        return self.page


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = {"executable_path": CHROMIUM} if Path(CHROMIUM).exists() else {}
        browser = playwright.chromium.launch(args=ARGUMENTS, **found)  # type: ignore[arg-type]
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
def visit(chromium: Browser, site: str) -> Iterator[Visit]:
    page = chromium.new_page(viewport={"width": 900, "height": 1400})
    yield Visit(page, site)
    page.close()


def picture(page: Page, name: str) -> None:
    folder = Path(settings.BASE_DIR) / "artifacts"
    folder.mkdir(exist_ok=True)
    page.screenshot(path=folder / f"{name}.png", full_page=True)


def test_an_answer_with_everything_is_drawn_without_a_single_complaint(visit: Visit) -> None:
    page = visit.show(ANSWER)
    page.wait_for_selector("figure.diagram[data-state=drawn] img")
    page.wait_for_selector("figure.diagram[data-state=undrawable] pre")
    page.wait_for_selector(".math-display .katex-display")
    assert page.locator(".math-inline .katex").count() == 1
    assert page.locator(".katex-error").count() == 0
    size = page.locator("figure.diagram img").bounding_box()
    assert size is not None
    assert size["width"] > 50
    assert size["height"] > 50
    assert page.evaluate("document.querySelector('figure.diagram img').naturalWidth") > 50
    picture(page, "rich-light")
    picture(visit.show(ANSWER, theme="dark"), "rich-dark")
    assert visit.complaints == []
    assert visit.foreign == []
    assert not [address for address in visit.requests if "frame/image" in address]
