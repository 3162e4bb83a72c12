"""The newest event of an issue, with its stack."""

from typing import Any

from tools.answers import at, fields
from tools.builtin.sentry import SENTRY
from tools.schemas import takes, word
from tools.vendor import Call

MOST_FRAMES = 30
ABOUT = fields("event=eventID title message culprit platform date=dateCreated")


def _event(data: Any) -> dict[str, Any]:
    raised = [
        value for entry in at(data, ["entries"]) or [] if entry.get("type") == "exception" for value in at(entry, ["data", "values"]) or []
    ]
    return {**ABOUT(data), "exceptions": [_exception(value) for value in raised]}


def _exception(value: Any) -> dict[str, Any]:
    frames = at(value, ["stacktrace", "frames"]) or []
    places = [f"{frame.get('filename')}:{frame.get('lineNo')} in {frame.get('function')}" for frame in frames]
    return {"type": value.get("type"), "value": value.get("value"), "newest_frames_last": places[-MOST_FRAMES:]}


TOOL = SENTRY.tool(
    "read-issue",
    "Read an issue",
    "Reads the newest event of a Sentry issue with its exceptions and stack.",
    takes("issue_id", issue_id=word("Id of the issue, as sentry-search-issues tells it.")),
    Call(path="/issues/{issue_id}/events/latest/", read=_event),
    writes=False,
)
