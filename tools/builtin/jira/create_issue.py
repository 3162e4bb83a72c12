"""Open an issue."""

from collections.abc import Mapping
from typing import Any

from tools.answers import fields
from tools.builtin.jira import JIRA, document
from tools.schemas import several, takes, text, word
from tools.vendor import Call, Config


def _description(arguments: dict[str, Any], config: Config) -> Mapping[str, Any]:
    return {"document": document(arguments["description"])} if arguments.get("description") else {}


TOOL = JIRA.tool(
    "create-issue",
    "Create an issue",
    "Creates an issue in a Jira project.",
    takes(
        "project summary",
        project=word("Key of the project, such as APP."),
        summary=word("One line."),
        description=text("What it is about."),
        issue_type=word("Such as Task, Bug or Story.", default="Task"),
        labels=several("Labels, without spaces."),
    ),
    Call(
        method="POST",
        path="/issue",
        json={
            "fields": {
                "project": {"key": "{project}"},
                "summary": "{summary}",
                "issuetype": {"name": "{issue_type}"},
                "description": "{document}",
                "labels": "{labels}",
            }
        },
        prepare=_description,
        read=fields("key id"),
    ),
    writes=True,
)
