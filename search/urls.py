"""Pages of search."""

from django.urls import URLPattern, path

from search import views

urlpatterns: list[URLPattern] = [
    path("search", views.page, name="search"),
    path("search/palette", views.palette, name="palette"),
    path("search/palette/meaning", views.palette_meaning, name="palette-meaning"),
]
