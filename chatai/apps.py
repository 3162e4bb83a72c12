from django.apps import AppConfig


class ChataiConfig(AppConfig):
    name = "chatai"

    def ready(self) -> None:
        from chatai import checks  # noqa: F401  registers them; needs the models, so not at the top
