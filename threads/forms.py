"""What the page's forms may carry."""

from __future__ import annotations

from django import forms


class MessageField(forms.Field):
    """Text as typed. Browsers send CRLF for a line break; the limits of a message are the action's to check."""

    def to_python(self, value: object) -> str:
        return str(value or "").replace("\r\n", "\n")


class SendForm(forms.Form):
    text = MessageField(required=False)
    model = forms.CharField(required=False, max_length=100)
    request_id = forms.UUIDField(error_messages={"required": "The request id is missing.", "invalid": "The request id is not a UUID."})
    new = forms.BooleanField(required=False)
