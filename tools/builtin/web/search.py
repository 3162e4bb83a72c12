"""Search the web through Brave, Tavily or a SearXNG of one's own: whichever is set up, in this order."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from tools.answers import rows
from tools.registry import Builtin, Use
from tools.schemas import choice, limit, secret, takes, word
from tools.signing_in import header
from tools.values import Outcome, ToolError
from tools.vendor import Call, Vendor

CONFIG = {
    **takes(
        brave_api_key=secret("An API key of Brave Search (api-dashboard.search.brave.com)."),
        tavily_api_key=secret("Instead of it: an API key of Tavily."),
        searxng_url=word("Instead of both: the address of a SearXNG that answers in JSON.", pattern="^https?://"),
        country=word("Country that results are for, two letters.", default="us", pattern="^[A-Za-z]{2}$"),
        safesearch=choice("How much is left out.", "off", "moderate", "strict", default="moderate"),
    ),
    "anyOf": [{"required": ["brave_api_key"]}, {"required": ["tavily_api_key"]}, {"required": ["searxng_url"]}],
}
BRAVE = Vendor(
    slug="brave",
    brand="Brave Search",
    base="https://api.search.brave.com/res/v1",
    config=CONFIG,
    auth=header("X-Subscription-Token", "{config.brave_api_key}"),
)
TAVILY = Vendor(
    slug="tavily",
    brand="Tavily",
    base="https://api.tavily.com",
    config=CONFIG,
    auth=header("Authorization", "Bearer {config.tavily_api_key}"),
)
SEARXNG = Vendor(slug="searxng", brand="SearXNG", base="{+config.searxng_url}", config=CONFIG)
CALLS = {
    "brave_api_key": (
        BRAVE,
        Call(
            path="/web/search",
            query={"q": "{query}", "count": "{limit}", "country": "{config.country}", "safesearch": "{config.safesearch}"},
            read=rows("web.results", "title url snippet=description age"),
        ),
    ),
    "tavily_api_key": (
        TAVILY,
        Call(
            method="POST",
            path="/search",
            json={"query": "{query}", "max_results": "{limit}"},
            read=rows("results", "title url snippet=content"),
        ),
    ),
    "searxng_url": (
        SEARXNG,
        Call(
            path="/search",
            query={"q": "{query}", "format": "json", "safesearch": "{strictness}"},
            prepare=lambda arguments, config: {"strictness": ("off", "moderate", "strict").index(config["safesearch"])},
            read=rows("results", "title url snippet=content"),
        ),
    ),
}


async def run(arguments: dict[str, Any], use: Use) -> Outcome:
    config = use.config or _operators()
    engine = next((name for name in CALLS if config.get(name)), None)
    if engine is None:
        raise ToolError("Web search is not connected: it needs a key of Brave or Tavily, or the address of a SearXNG.", "not_connected")
    vendor, call = CALLS[engine]
    most = arguments.get("limit", 10)
    found = await vendor.perform(call, {**arguments, "limit": most}, config)
    return Outcome(found.output[:most], http_status=found.http_status)


def _operators() -> Mapping[str, Any]:
    return {"brave_api_key": settings.BRAVE_API_KEY, "tavily_api_key": settings.TAVILY_API_KEY, "searxng_url": settings.SEARXNG_URL}


TOOL = Builtin(
    slug="web-search",
    display_name="Web search",
    description="Searches the web and gives titles, addresses and snippets. fetch-page reads what is behind one.",
    brand="Brave, Tavily or SearXNG",
    input_schema=takes("query", query=word("What to look for."), limit=limit(20)),
    run=run,
    config_schema=CONFIG,
    auth_mode="either",
    writes=False,
    repeatable=True,
    price_micros=int(settings.WEB_SEARCH_PRICE_USD * 1_000_000),
    connection="web-search",
    ready=lambda: any(_operators().values()),
)
