"""The weather now and in the next days (Open-Meteo, no key)."""

from typing import Any

from tools.answers import at, fields, rows
from tools.registry import Builtin, Use
from tools.schemas import choice, takes, whole, word
from tools.values import Outcome, ToolError
from tools.vendor import Call, Vendor

OPEN_METEO = Vendor(slug="weather", brand="Open-Meteo", base="https://api.open-meteo.com/v1", auth_mode="none")
PLACES = Call(
    path="https://geocoding-api.open-meteo.com/v1/search",
    query={"name": "{place}", "count": 1, "language": "en", "format": "json"},
    read=rows("results", "name region=admin1 country latitude longitude timezone"),
)
NOW = "temperature_2m,apparent_temperature,relative_humidity_2m,precipitation,weather_code,wind_speed_10m"
DAILY = "weather_code,temperature_2m_max,temperature_2m_min,precipitation_sum,precipitation_probability_max,wind_speed_10m_max"
FORECAST = Call(
    path="/forecast",
    query={
        "latitude": "{latitude}",
        "longitude": "{longitude}",
        "current": NOW,
        "daily": DAILY,
        "forecast_days": "{days}",
        "timezone": "auto",
        "temperature_unit": "{temperature}",
        "wind_speed_unit": "{wind}",
    },
)
# WMO code 4677, as far as Open-Meteo uses it.
SKIES = {0: "clear", 1: "mainly clear", 2: "partly cloudy", 3: "overcast", 45: "fog", 48: "rime fog"}
SKIES |= {51: "light drizzle", 53: "drizzle", 55: "dense drizzle", 56: "freezing drizzle", 57: "dense freezing drizzle"}
SKIES |= {61: "light rain", 63: "rain", 65: "heavy rain", 66: "freezing rain", 67: "heavy freezing rain"}
SKIES |= {71: "light snow", 73: "snow", 75: "heavy snow", 77: "snow grains", 80: "light showers", 81: "showers", 82: "violent showers"}
SKIES |= {
    85: "snow showers",
    86: "heavy snow showers",
    95: "thunderstorm",
    96: "thunderstorm with hail",
    99: "thunderstorm with heavy hail",
}
CURRENT = fields(
    "time temperature=temperature_2m feels_like=apparent_temperature humidity=relative_humidity_2m precipitation wind=wind_speed_10m"
)


async def run(arguments: dict[str, Any], use: Use) -> Outcome:
    found = (await OPEN_METEO.perform(PLACES, arguments, {})).output
    if not found:
        raise ToolError(f"There is no place called {arguments['place']!r}; another spelling or a larger town nearby may do.", "invalid")
    imperial = arguments.get("units") == "imperial"
    units = {"temperature": "fahrenheit", "wind": "mph"} if imperial else {"temperature": "celsius", "wind": "kmh"}
    place = found[0]
    given = {"days": arguments.get("days", 3), "latitude": place["latitude"], "longitude": place["longitude"], **units}
    answer = await OPEN_METEO.perform(FORECAST, given, {})
    return Outcome(_told(place, answer.output, imperial), http_status=answer.http_status)


def _told(place: dict[str, Any], forecast: Any, imperial: bool) -> dict[str, Any]:
    name = ", ".join(str(place[part]) for part in ("name", "region", "country") if place.get(part))
    now = {**CURRENT(forecast["current"]), "sky": SKIES.get(at(forecast, ["current", "weather_code"]), "unknown")}
    daily = forecast["daily"]
    names = {"temperature_2m_max": "high", "temperature_2m_min": "low", "precipitation_sum": "precipitation"}
    names |= {"precipitation_probability_max": "chance_of_precipitation", "wind_speed_10m_max": "wind"}
    days = [
        {
            "date": date,
            "sky": SKIES.get(daily["weather_code"][i], "unknown"),
            **{short: daily[long][i] for long, short in names.items() if long in daily},
        }
        for i, date in enumerate(daily["time"])
    ]
    units = {"temperature": "°F" if imperial else "°C", "wind": "mph" if imperial else "km/h", "precipitation": "mm"}
    return {"place": name, "timezone": forecast.get("timezone"), "units": units, "now": now, "days": days}


TOOL = Builtin(
    slug="weather",
    display_name="Weather",
    description="The weather now and for up to two weeks at a place.",
    brand="Open-Meteo",
    input_schema=takes(
        "place",
        place=word("A town, such as Zürich."),
        days=whole("How many days, today included.", 1, 14, default=3),
        units=choice("Units.", "metric", "imperial", default="metric"),
    ),
    run=run,
    writes=False,
    repeatable=True,
)
