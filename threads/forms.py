"""What the page's forms may carry."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.datastructures import MultiValueDict

from threads.models import Message


class MessageField(forms.Field):
    """Text as typed. Browsers send CRLF for a line break; the limits of a message are the action's to check."""

    def to_python(self, value: object) -> str:
        return str(value or "").replace("\r\n", "\n")


class AgainForm(forms.Form):
    model = forms.CharField(required=False, max_length=100)
    request_id = forms.UUIDField(error_messages={"required": "The request id is missing.", "invalid": "The request id is not a UUID."})

    @property
    def problem(self) -> str:
        return " ".join(str(error) for errors in self.errors.values() for error in errors)


class RateForm(forms.Form):
    rating = forms.TypedChoiceField(choices=[(0, "none"), *Message.Rating.choices], coerce=int)


class EditForm(AgainForm):
    text = MessageField(required=False)


class SendForm(EditForm):
    new = forms.BooleanField(required=False)


def sent(data: QueryDict) -> dict[str, Any]:
    """What a SendForm would find in it, without making one. Raises ValidationError."""
    fields = SendForm.base_fields.items()
    return {name: field.clean(field.widget.value_from_datadict(data, MultiValueDict(), name)) for name, field in fields}
