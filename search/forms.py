"""What the search page may be asked."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms

from threads import described
from threads.blocks import clean_text
from threads.models import Message

MOST_PAGES = 50
ROLES = [("", "Anyone"), (Message.Role.USER, "You"), (Message.Role.ASSISTANT, "The assistant")]
MODES = [("hybrid", "Meaning and words"), ("text", "Words only")]


class QueryField(forms.CharField):
    """What was typed, with nothing in it that the database has no place for."""

    def to_python(self, value: object) -> str:
        return super().to_python(clean_text(str(value or ""))) or ""


def _day(label: str) -> forms.DateField:
    day = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    return forms.DateField(required=False, input_formats=["%Y-%m-%d"], label=label, widget=day)


class SearchForm(forms.Form):
    q = QueryField(required=False)
    role = forms.ChoiceField(required=False, choices=ROLES, label="Written by")
    model = forms.ChoiceField(required=False, label="Model")
    since = _day("From")
    until = _day("Until")
    mode = forms.ChoiceField(required=False, choices=MODES, label="Find by")
    page = forms.IntegerField(required=False, min_value=1, max_value=MOST_PAGES)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        models = forms.ChoiceField(required=False, label="Model")
        models.choices = [("", "Any"), *sorted(described.model_names().items(), key=lambda one: one[1])]
        self.fields["model"] = models

    @property
    def filters(self) -> list[forms.BoundField]:
        return [self[name] for name in ("role", "model", "since", "until", "mode")]

    @property
    def narrowed(self) -> bool:
        """Whether anything but the words is asked for."""
        return any(self.data.get(name) for name in ("role", "model", "since", "until")) or self.data.get("mode") == "text"

    @property
    def problem(self) -> str:
        return " ".join(str(error) for errors in self.errors.values() for error in errors)

    def asked(self, zone: dt.tzinfo) -> dict[str, Any]:
        """The filters as `find` takes them: days are those of the reader's time zone, both included."""
        given = self.cleaned_data
        until = given["until"]
        return {
            "mode": given["mode"] or "hybrid",
            "role": given["role"] or None,
            "model": given["model"] or None,
            "since": _midnight(given["since"], zone),
            "until": _midnight(until + dt.timedelta(days=1), zone) if until and until < dt.date.max else None,
        }


def _midnight(day: dt.date | None, zone: dt.tzinfo) -> dt.datetime | None:
    return dt.datetime.combine(day, dt.time(), zone) if day else None
