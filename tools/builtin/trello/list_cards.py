"""The cards of a board."""

from tools.answers import rows
from tools.builtin.trello import TRELLO
from tools.schemas import takes, word
from tools.vendor import Call

TOOL = TRELLO.tool(
    "list-cards",
    "List cards",
    "Lists the open cards of a Trello board, with the lists they are on.",
    takes("board_id", board_id=word("Id or short link of the board.")),
    Call(
        path="/boards/{board_id}/cards",
        query={"fields": "name,desc,due,idList,shortUrl"},
        read=rows("", "id name desc due list_id=idList url=shortUrl"),
    ),
    writes=False,
)
