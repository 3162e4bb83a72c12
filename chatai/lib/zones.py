"""In which time zone a person reads."""

import datetime as dt
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.http import HttpRequest


def zone_of(request: HttpRequest) -> dt.tzinfo:
    """The person's time zone as their browser named it in a cookie; UTC until it has."""
    try:
        return ZoneInfo(request.COOKIES.get("tz", "UTC").replace("%2F", "/"))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return dt.UTC
