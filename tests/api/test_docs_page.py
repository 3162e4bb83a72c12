"""`/v1/docs` in a browser: drawn under the site's own policy, with nothing from anywhere else."""

import shutil

import pytest
from playwright.sync_api import sync_playwright

from tests.stack import Stack

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]


@pytest.mark.browser
def test_the_description_is_drawn_from_our_own_files(stack: Stack) -> None:
    asked: list[str] = []
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda line: complaints.append(line.text))
        page.goto(f"{stack.url}/v1/docs")
        page.get_by_text("Send a message; the answer is streamed or returned").click()
        page.get_by_role("button", name="Try it out").wait_for()
        browser.close()
    assert [url for url in asked if not url.startswith((f"{stack.url}/static/", f"{stack.url}/v1/", "data:"))] == []
    assert complaints == []
