"""Ask the analytics with HogQL, which only reads."""

from tools.answers import fields
from tools.builtin.posthog import POSTHOG
from tools.schemas import takes, text
from tools.vendor import Call

TOOL = POSTHOG.tool(
    "query",
    "Query analytics",
    "Runs a HogQL query (SQL over events, persons and sessions) in PostHog.",
    takes("hogql", hogql=text("Such as SELECT event, count() FROM events GROUP BY event LIMIT 10.", least=1)),
    Call(
        method="POST",
        path="/query/",
        json={"query": {"kind": "HogQLQuery", "query": "{hogql}"}},
        read=fields("columns results"),
    ),
    writes=False,
    seconds=60.0,
)
