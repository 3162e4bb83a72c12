"""`/v1/models` and `/v1/catalog`: which models there are; `/v1/files`: what came with messages."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Router, Schema

from accounts.access import key_of
from threads import file_bytes
from threads.attachments import FILE_PREFIX
from threads.models import CatalogModel, StoredFile
from threads.providers.catalog import offered

router = Router(tags=["models"])

CAPABILITIES = (("tools", "function-calling"), ("thinking", "reasoning"), ("vision", "vision"))
BYTES = {"*/*": {"schema": {"type": "string", "format": "binary"}}}


class ModelOut(Schema):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(Schema):
    object: Literal["list"]
    data: list[ModelOut]


class Maker(Schema):
    slug: str
    display_name: str


class Host(Schema):
    provider: str
    input_per_mtok_usd: float
    output_per_mtok_usd: float
    throughput_score: float | None
    verified_tools_ok: bool


class CatalogEntry(Schema):
    slug: str
    display_name: str
    author: str
    description: str
    task: str
    capabilities: list[str]
    context_window: int
    default_max_tokens: int
    hosts: list[Host]


class Catalog(Schema):
    providers: list[Maker]
    models: list[CatalogEntry]
    markup_multiplier: float
    generated_at: str


@router.get("/models", response=ModelList, summary="Models, in OpenAI's shape")
def models(request: HttpRequest) -> dict[str, Any]:
    data = [{"id": row.slug, "object": "model", "created": 0, "owned_by": row.provider} for row in offered()]
    return {"object": "list", "data": data}


@router.get("/catalog", auth=None, response=Catalog, summary="Models with prices and abilities; no key needed")
def catalog(request: HttpRequest) -> dict[str, Any]:
    rows = offered()
    providers = [{"slug": slug, "display_name": slug.title()} for slug in dict.fromkeys(row.provider for row in rows)]
    return {
        "providers": providers,
        "models": [_entry(row) for row in rows],
        "markup_multiplier": 1,
        "generated_at": timezone.now().isoformat(),
    }


def _entry(row: CatalogModel) -> dict[str, Any]:
    prices = {"input_per_mtok_usd": float(row.input_price), "output_per_mtok_usd": float(row.output_price)}
    return {
        "slug": row.slug,
        "display_name": row.label,
        "author": row.provider,
        "description": row.description,
        "task": "text-generation",
        "capabilities": ["streaming", *(name for field, name in CAPABILITIES if getattr(row, field))],
        "context_window": row.context_window,
        "default_max_tokens": row.default_max_tokens,
        "hosts": [{"provider": row.provider, **prices, "throughput_score": None, "verified_tools_ok": row.tools}],
    }


@router.get(
    "/files/{file_id}/content",
    response={200: None},
    tags=["messages"],
    summary="The bytes of an image or document of a message",
    openapi_extra={"responses": {200: {"content": BYTES}}},
)
def content(request: HttpRequest, file_id: str) -> HttpResponse:
    file = get_object_or_404(StoredFile.objects.for_key(key_of(request)), pk=_uuid(file_id))
    body = file_bytes.read(file)
    if body is None:
        raise Http404
    response = HttpResponse(body, content_type=file.media_type)
    response["Content-Disposition"] = f'inline; filename="{FILE_PREFIX}{file.pk.hex}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _uuid(file_id: str) -> UUID:
    try:
        return UUID(hex=file_id.removeprefix(FILE_PREFIX))
    except ValueError as error:
        raise Http404 from error
