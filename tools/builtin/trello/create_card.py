"""Put a card on a list."""

from tools.answers import fields
from tools.builtin.trello import TRELLO
from tools.schemas import moment, takes, text, word
from tools.vendor import Call

TOOL = TRELLO.tool(
    "create-card",
    "Create a card",
    "Puts a card on a Trello list.",
    takes(
        "list_id name",
        list_id=word("Id of the list."),
        name=word("Title of the card."),
        desc=text("More about it.", most=4000),
        due=moment("Until when."),
    ),
    Call(
        method="POST",
        path="/cards",
        query={"idList": "{list_id}", "name": "{name}", "desc": "{desc}", "due": "{due}"},
        read=fields("id name url=shortUrl"),
    ),
    writes=True,
)
