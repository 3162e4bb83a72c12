"""Settings of tools, under /settings/."""

from django.urls import path

from tools import views

urlpatterns = [
    path("tools/", views.show_tools, name="settings_tools"),
    path("tools/rules/", views.set_rule, name="settings_tools_rule"),
    path("tools/rules/<uuid:rule_id>/drop/", views.drop_rule, name="settings_tools_drop"),
    path("connections/", views.show_connections, name="settings_services"),
]
