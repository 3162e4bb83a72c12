"""A page that shows rendered texts under the real headers, for browser tests: the project's addresses and one more."""

from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.urls import path

from chatai.urls import urlpatterns as project
from threads import markdown

TEXTS: list[str] = []
PAGE = """{% load static %}<!doctype html>
<html lang="en" data-theme="{{ theme }}">
<head>
  <meta charset="utf-8"><title>Texts</title>
  <link rel="icon" href="data:,"><meta name="viewport" content="width=device-width, initial-scale=1">
  {% for sheet in sheets %}<link rel="stylesheet" href="{% static sheet %}">{% endfor %}
</head>
<body>
  <main class="column">{% for html in htmls %}<section class="answer" hx-ignore>{{ html }}</section>{% endfor %}</main>
  <script src="{% static 'vendor/htmx/htmx.min.js' %}" defer></script>
  <script src="{% static 'js/rich.js' %}" type="module"></script>
</body>
</html>"""
SHEETS = [f"css/{name}.css" for name in ("tokens", "base", "prose", "code")]


def page(request: HttpRequest) -> HttpResponse:
    htmls = [markdown.render(text) for text in TEXTS]
    return HttpResponse(Template(PAGE).render(Context({"htmls": htmls, "sheets": SHEETS, "theme": request.GET.get("theme", "light")})))


urlpatterns = [path("corpus", page), *project]
