"""Settings, under /settings/."""

from django.urls import path
from django.views.generic import RedirectView

from accounts import key_views, views

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="settings_profile"), name="settings"),
    path("profile/", views.profile, name="settings_profile"),
    path("appearance/", views.appearance, name="settings_appearance"),
    path("chat/", views.chat, name="settings_chat"),
    path("security/", views.security, name="settings_security"),
    path("security/sessions/<int:session_id>/end/", views.end_session, name="settings_end_session"),
    path("keys/", key_views.list_keys, name="settings_keys"),
    path("keys/<uuid:key_id>/revoke/", key_views.revoke_key, name="settings_keys_revoke"),
    path("data/", views.data, name="settings_data"),
    path("data/close/", views.close, name="settings_close"),
]
