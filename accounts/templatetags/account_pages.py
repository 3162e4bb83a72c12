"""Tags of the sign-in and settings pages."""

import json
from typing import Any

from allauth.socialaccount.providers import registry
from django import template
from django.template.context import RequestContext
from django.urls import reverse

register = template.Library()

# The first that occurs wins: Edge and Opera also call themselves Chrome, Chrome also calls itself Safari.
BROWSERS = {
    "Edg": "Edge",
    "OPR": "Opera",
    "Firefox": "Firefox",
    "FxiOS": "Firefox",
    "Chrome": "Chrome",
    "CriOS": "Chrome",
    "Safari": "Safari",
}
SYSTEMS = {
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Android": "Android",
    "Windows": "Windows",
    "Mac OS": "macOS",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
}


@register.filter
def as_json(value: object) -> str:
    """For a data attribute: escaped like every other value."""
    return json.dumps(value)


@register.filter
def device(user_agent: str) -> str:
    """`Firefox on Linux`, or the header itself when it names neither."""
    browser = next((name for mark, name in BROWSERS.items() if mark in user_agent), "")
    system = next((name for mark, name in SYSTEMS.items() if mark in user_agent), "")
    return " on ".join(filter(None, (browser, system))) or user_agent[:60] or "Unknown device"


@register.filter
def provider_name(provider_id: str) -> str:
    """Also of a provider that is no longer configured."""
    provider = registry.get_class(provider_id)
    return str(provider.name) if provider else provider_id


@register.inclusion_tag("settings/_tab.html", takes_context=True)
def settings_tab(context: RequestContext, name: str, icon_name: str, label: str, *also: str) -> dict[str, Any]:
    """A link of the settings navigation, current on its page and on those whose name starts with one of `also`."""
    match = context["request"].resolver_match
    here = match.url_name if match is not None else ""
    return {"url": reverse(name), "icon_name": icon_name, "label": label, "current": here.startswith((name, *also))}
