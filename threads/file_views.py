"""Files of conversations, and all that a tool was told and answered. What is in them was made by a model or came from outside:
none of it may run, or load anything, when its address is opened."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from threads import file_bytes
from threads.access import person, person_required
from threads.live import cards
from threads.models import StoredFile, ToolCall

DRAWN = {"image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml"}
# Drawings style themselves; the sandbox takes them their scripts, forms and origin.
INERT = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


@require_safe
@person_required
def stored_file(request: HttpRequest, file_id: UUID) -> HttpResponse:
    """Pictures are shown, everything else is a download without a type that a browser would act on."""
    file = get_object_or_404(StoredFile.objects.for_user(person(request)), pk=file_id)
    content = file_bytes.read(file)
    if content is None:
        raise Http404
    drawn = file.media_type in DRAWN
    response = HttpResponse(content, content_type=file.media_type if drawn else "application/octet-stream")
    response["Content-Security-Policy"] = INERT
    response["Content-Disposition"] = "inline" if drawn else "attachment"
    response["Cache-Control"] = "private, max-age=86400, immutable"  # the bytes of an id never change
    return response


@require_safe
@person_required
def tool_call(request: HttpRequest, turn_id: UUID, tool_use_id: str) -> HttpResponse:
    """All of what a card shows the beginning of."""
    call = ToolCall.objects.for_user(person(request)).filter(turn_id=turn_id, tool_use_id=tool_use_id).first()
    if call is None:
        raise Http404
    told = f"{call.name}\n\n{cards.pretty(call.arguments)}\n\n{cards.pretty(call.result)}\n"
    return HttpResponse(told, content_type="text/plain; charset=utf-8")
