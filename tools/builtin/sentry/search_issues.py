"""Find issues."""

from tools.answers import rows
from tools.builtin.sentry import SENTRY
from tools.schemas import choice, limit, takes, text
from tools.vendor import Call

TOOL = SENTRY.tool(
    "search-issues",
    "Search issues",
    "Searches the issues in Sentry with its search syntax.",
    takes(
        query=text("Such as is:unresolved level:error.", most=1000, default="is:unresolved"),
        period=choice("How far back.", "1h", "24h", "7d", "14d", "30d", "90d", default="14d"),
        limit=limit(100, 20),
    ),
    Call(
        path="/issues/",
        query={"query": "{query}", "statsPeriod": "{period}", "limit": "{limit}"},
        read=rows("", "id short_id=shortId title culprit level status count users=userCount last_seen=lastSeen url=permalink"),
    ),
    writes=False,
)
