"""Every address of the site."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path

from chatai.api import api
from chatai.health import metrics

admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]  # so that the second factor applies

urlpatterns = [
    path("v1/", api.urls),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("settings/", include("accounts.urls")),
    path("settings/", include("tools.urls")),
    path("billing/", include("billing.urls")),
    path("connect/", include("tools.connect_urls")),
    path("metrics", metrics),
    path("", include("search.urls")),
    path("", include("threads.urls")),
]
