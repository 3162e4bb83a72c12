from django.apps import AppConfig


class ChataiConfig(AppConfig):
    name = "chatai"
