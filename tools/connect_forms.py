"""The form that asks for what a schema describes. Secrets are never filled in again."""

from __future__ import annotations

from typing import Any

from django import forms

from tools.values import JsonSchema

MOST_CHARS = 20_000
ABBREVIATIONS = {"api", "aws", "id", "s3", "sid", "smtp", "url"}


def form_for(schema: JsonSchema, data: Any = None) -> forms.Form:
    """A field for each property; `cleaned(form)` is what the schema is held against."""
    form = forms.Form(data)
    required = set(schema.get("required", ()))
    for name, one in schema.get("properties", {}).items():
        form.fields[name] = _field(name, one, name in required)
    return form


def cleaned(form: forms.Form) -> dict[str, Any]:
    """What was filled in, of a valid form."""
    return {name: value for name, value in form.cleaned_data.items() if value not in ("", None)}


def _field(name: str, one: JsonSchema, required: bool) -> forms.Field:
    label = one.get("title") or _spelled(name)
    common: dict[str, Any] = {"label": label, "help_text": one.get("description", ""), "required": required, "initial": one.get("default")}
    attrs = {"autocomplete": "off", "spellcheck": "false"}
    if one.get("type") == "boolean":
        return forms.BooleanField(**{**common, "required": False})
    if "enum" in one:
        empty = [] if required or "default" in one else [("", "")]
        return forms.ChoiceField(choices=[*empty, *((value, str(value)) for value in one["enum"])], **common)
    if one.get("type") in ("integer", "number"):
        whole = one["type"] == "integer"
        kind: type[forms.IntegerField] | type[forms.FloatField] = forms.IntegerField if whole else forms.FloatField
        return kind(min_value=one.get("minimum"), max_value=one.get("maximum"), **common)
    secret = one.get("format") == "password"
    widget = forms.PasswordInput(attrs={**attrs, "autocomplete": "new-password"}) if secret else forms.TextInput(attrs)
    return forms.CharField(max_length=one.get("maxLength", MOST_CHARS), widget=widget, **common)


def _spelled(name: str) -> str:
    """`smtp_host` as people write it."""
    words = [word.upper() if word in ABBREVIATIONS else word for word in name.split("_")]
    return " ".join([words[0] if words[0].isupper() else words[0].capitalize(), *words[1:]])
