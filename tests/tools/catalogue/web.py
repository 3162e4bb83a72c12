"""The open web, as far as it is an API."""

import base64

from tests.tools.catalogue.case import Account, Exchange, case
from tests.tools.catalogue.vendor import Answer

PICTURE = b"\x89PNG\r\n\x1a\n not really"
ACCOUNTS = {
    "wikipedia": Account(
        {}, {"user-agent": "chatai"}, Answer({"error": {"code": "x", "info": "y", "message": "Bad title"}}, 400), "Bad title"
    ),
    "weather": Account({}, {}, Answer({"error": True, "reason": "Daily value out of range"}, 400), "Daily value out of range"),
    "convert-currency": Account({}, {}, Answer({"message": "not found"}, 404), "not found"),
    "brave": Account(
        {"brave_api_key": "canary-brave-key", "country": "de", "safesearch": "strict"},
        {"x-subscription-token": "canary-brave-key"},
        Answer({"type": "ErrorResponse", "error": {"detail": "Unable to validate request parameter(s)", "status": 422}}, 422),
        "Unable to validate request parameter(s)",
    ),
    "tavily": Account(
        {"tavily_api_key": "canary-tavily-key"},
        {"authorization": "Bearer canary-tavily-key"},
        Answer({"detail": {"error": "Query is too long."}}, 400),
        "Query is too long.",
    ),
    "searxng": Account({"searxng_url": "https://search.example.com/"}, {}, Answer("Forbidden", 403), "Forbidden"),
    "image-generation": Account(
        {"openai_api_key": "canary-openai-key"},
        {"authorization": "Bearer canary-openai-key"},
        Answer({"error": {"message": "Your request was rejected by the safety system.", "type": "image_generation_user_error"}}, 400),
        "rejected by the safety system",
    ),
}
FOUND = [{"title": "Django", "url": "https://www.djangoproject.com/", "snippet": "The web framework"}]

CASES = [
    case(
        "wikipedia-search",
        {"query": "Zürich", "language": "de"},
        Exchange(
            "GET https://de.wikipedia.org/w/api.php",
            {"query": {"search": [{"title": "Zürich", "snippet": '<span class="searchmatch">Zürich</span> ist &quot;groß&quot;'}]}},
            query={"action": "query", "list": "search", "srsearch": "Zürich", "srlimit": "5", "format": "json", "formatversion": "2"},
        ),
        gives=[{"title": "Zürich", "snippet": 'Zürich ist "groß"'}],
    ),
    case(
        "wikipedia-article",
        {"title": "Ada Lovelace", "intro_only": True},
        Exchange(
            "GET https://en.wikipedia.org/w/api.php",
            {
                "query": {
                    "pages": [{"title": "Ada Lovelace", "fullurl": "https://en.wikipedia.org/wiki/Ada_Lovelace", "extract": "She was"}]
                }
            },
            query={
                "action": "query",
                "prop": "extracts|info",
                "inprop": "url",
                "explaintext": "1",
                "exintro": "1",
                "redirects": "1",
                "titles": "Ada Lovelace",
                "format": "json",
                "formatversion": "2",
            },
        ),
        gives={"title": "Ada Lovelace", "url": "https://en.wikipedia.org/wiki/Ada_Lovelace", "text": "She was"},
    ),
    case(
        "weather",
        {"place": "Zürich", "days": 1},
        Exchange(
            "GET https://geocoding-api.open-meteo.com/v1/search",
            {"results": [{"name": "Zürich", "admin1": "Zurich", "country": "Switzerland", "latitude": 47.37, "longitude": 8.55}]},
            query={"name": "Zürich", "count": "1", "language": "en", "format": "json"},
        ),
        Exchange(
            "GET https://api.open-meteo.com/v1/forecast",
            {
                "timezone": "Europe/Zurich",
                "current": {"time": "2026-01-01T12:00", "temperature_2m": 3.1, "weather_code": 71, "wind_speed_10m": 9.0},
                "daily": {"time": ["2026-01-01"], "weather_code": [73], "temperature_2m_max": [4.0], "temperature_2m_min": [-1.0]},
            },
            query={
                "latitude": "47.37",
                "longitude": "8.55",
                "current": "temperature_2m,apparent_temperature,relative_humidity_2m,precipitation,weather_code,wind_speed_10m",
                "daily": "weather_code,temperature_2m_max,temperature_2m_min,precipitation_sum,"
                "precipitation_probability_max,wind_speed_10m_max",
                "forecast_days": "1",
                "timezone": "auto",
                "temperature_unit": "celsius",
                "wind_speed_unit": "kmh",
            },
        ),
        gives={
            "place": "Zürich, Zurich, Switzerland",
            "timezone": "Europe/Zurich",
            "units": {"temperature": "°C", "wind": "km/h", "precipitation": "mm"},
            "now": {"time": "2026-01-01T12:00", "temperature": 3.1, "wind": 9.0, "sky": "light snow"},
            "days": [{"date": "2026-01-01", "sky": "snow", "high": 4.0, "low": -1.0}],
        },
    ),
    case(
        "convert-currency",
        {"amount": 100, "from": "usd", "to": "EUR", "date": "2024-03-28"},
        Exchange(
            "GET https://api.frankfurter.dev/v1/2024-03-28",
            {"amount": 1.0, "base": "USD", "date": "2024-03-28", "rates": {"EUR": 0.92498}},
            query={"base": "USD", "symbols": "EUR"},
        ),
        gives={"amount": 92.5, "currency": "EUR", "rate": 0.92498, "date": "2024-03-28"},
    ),
    case(
        "web-search",
        {"query": "django & htmx", "limit": 1},
        Exchange(
            "GET https://api.search.brave.com/res/v1/web/search",
            {"type": "search", "web": {"results": [{**FOUND[0], "description": "The web framework"}]}},
            query={"q": "django & htmx", "count": "1", "country": "de", "safesearch": "strict"},
        ),
        gives=FOUND,
        account="brave",
    ),
    case(
        "web-search",
        {"query": "django"},
        Exchange(
            "POST https://api.tavily.com/search",
            {"query": "django", "results": [{"title": "Django", "url": FOUND[0]["url"], "content": "The web framework", "score": 0.9}]},
            sends={"query": "django", "max_results": 10},
        ),
        gives=FOUND,
        account="tavily",
    ),
    case(
        "web-search",
        {"query": "django"},
        Exchange(
            "GET https://search.example.com/search",
            {"results": [{"title": "Django", "url": FOUND[0]["url"], "content": "The web framework"}]},
            query={"q": "django", "format": "json", "safesearch": "1"},
        ),
        gives=FOUND,
        account="searxng",
    ),
    case(
        "image-generation",
        {"prompt": "A cat"},
        Exchange(
            "POST https://api.openai.com/v1/images/generations",
            {"created": 1, "data": [{"b64_json": base64.b64encode(PICTURE).decode()}]},
            sends={"model": "gpt-image-1", "prompt": "A cat", "size": "1024x1024", "n": 1},
        ),
        gives="The picture is shown to the person.",
    ),
]
