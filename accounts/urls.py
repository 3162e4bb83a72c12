"""Settings, under /settings/."""

from django.urls import path
from django.views.generic import RedirectView

from accounts import views

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="settings_profile"), name="settings"),
    path("profile/", views.profile, name="settings_profile"),
    path("appearance/", views.appearance, name="settings_appearance"),
    path("chat/", views.chat, name="settings_chat"),
    path("security/", views.security, name="settings_security"),
    path("security/sessions/<int:session_id>/end/", views.end_session, name="settings_end_session"),
    path("data/", views.data, name="settings_data"),
    path("data/close/", views.close, name="settings_close"),
]
