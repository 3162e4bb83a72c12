"""What the description of the API says beyond its routes: how to authenticate, and what every failure looks like."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from ninja.openapi.docs import Swagger

SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}
ERROR = {
    "title": "Error",
    "type": "object",
    "required": ["type", "error"],
    "properties": {
        "type": {"const": "error"},
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {"type": {"type": "string"}, "message": {"type": "string", "description": "A sentence that may be shown."}},
        },
    },
}
FAILURE = {
    "description": "Any failure; `x-request-id` names it in our log.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}
OPEN = {"/v1/catalog", "/v1/builtins", "/v1/mcp-catalog"}  # no key needed


class Page(Swagger):
    """Drawn from our own static files; where ninja is not an installed app it would take them from a CDN."""

    template_cdn = str(settings.NINJA / "templates" / Swagger.template)


def completed(schema: dict[str, Any]) -> dict[str, Any]:
    """The description that ninja made of the routes, with the rest."""
    components = schema.setdefault("components", {})
    components.setdefault("schemas", {})["Error"] = ERROR
    components["securitySchemes"] = SCHEMES
    schema["security"] = [{name: []} for name in SCHEMES]
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            operation["responses"] |= {"4XX": FAILURE, "5XX": FAILURE}
            if path in OPEN:
                operation["security"] = []
    return schema
