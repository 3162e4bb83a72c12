from django.urls import path

from tools import connect_views

urlpatterns = [
    path("start", connect_views.start, name="connect_start"),
    path("end", connect_views.end, name="connect_end"),
    path("return", connect_views.come_back, name="connect_return"),
    path("client.json", connect_views.client_document, name="connect_client"),
    path("<str:token>", connect_views.connect, name="connect"),
]
