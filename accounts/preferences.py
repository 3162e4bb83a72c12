"""What the settings page offers and only apps above know; they hand it down in their AppConfig.ready."""

from collections.abc import Callable

Choices = list[tuple[str, str]]

_model_choices: Callable[[], Choices] = list


def offer_models(choices: Callable[[], Choices]) -> None:
    """Have (slug, label) of the models to choose from come from `choices`, asked at each use."""
    global _model_choices
    _model_choices = choices


def model_choices() -> Choices:
    return _model_choices()
