"""Pages of the conversation."""

from django.urls import URLPattern, path

from threads import views

urlpatterns: list[URLPattern] = [
    path("", views.home, name="home"),
]
