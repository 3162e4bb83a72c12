"""A page that shows one rendered text under the real headers, for browser tests: the project's addresses and one more."""

from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.urls import path

from chatai.urls import urlpatterns as project
from threads import markdown

TEXTS: dict[str, str] = {}
PAGE = """{% load static %}<!doctype html><html lang="en" data-theme="{{ theme }}"><head><meta charset="utf-8"><title>{{ name }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
{% for sheet in sheets %}<link rel="stylesheet" href="{% static sheet %}">{% endfor %}
</head><body><main class="answer" hx-ignore>{{ html }}</main>
<script src="{% static 'vendor/htmx/htmx.min.js' %}" defer></script>
<script src="{% static 'js/rich.js' %}" type="module"></script></body></html>"""
SHEETS = [f"css/{name}.css" for name in ("tokens", "base", "prose", "code")]


def page(request: HttpRequest, name: str) -> HttpResponse:
    html = markdown.render(TEXTS[name])
    context = {"html": html, "name": name, "sheets": SHEETS, "theme": request.GET.get("theme", "light")}
    return HttpResponse(Template(PAGE).render(Context(context)))


urlpatterns = [path("corpus/<str:name>", page), *project]
