"""Pages of the conversation."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
