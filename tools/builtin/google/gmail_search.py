"""Find mail: what it is about, not what it says."""

import asyncio
import dataclasses
from typing import Any

from tools.answers import at
from tools.builtin.google import GMAIL
from tools.registry import Use
from tools.schemas import limit, takes, word
from tools.values import Outcome
from tools.vendor import Call

LIST = Call(path="/messages", query={"q": "{query}", "maxResults": "{limit}"})
HEAD = Call(path="/messages/{id}", query={"format": "metadata", "metadataHeaders": ["From", "To", "Subject", "Date"]})


async def _run(arguments: dict[str, Any], use: Use) -> Outcome:
    found = await GMAIL.perform(LIST, {"limit": 10, **arguments}, use.config)
    ids = at(found.output, ["messages", "id"]) or []
    heads = await asyncio.gather(*(GMAIL.perform(HEAD, {"id": one}, use.config) for one in ids))
    return Outcome([_row(head.output) for head in heads], http_status=found.http_status)


def _row(message: Any) -> dict[str, Any]:
    headers = {header["name"].lower(): header["value"] for header in at(message, ["payload", "headers"]) or []}
    return {"id": message["id"], **headers, "snippet": message.get("snippet", "")}


TOOL = dataclasses.replace(
    GMAIL.tool(
        "search",
        "Search mail",
        "Searches Gmail and tells sender, subject, date and the first words of what it finds.",
        takes("query", query=word("As in Gmail's search box, such as from:ada is:unread."), limit=limit(25)),
        LIST,
        writes=False,
    ),
    run=_run,
)
