"""Records of a table."""

from tools.answers import rows
from tools.builtin.airtable import AIRTABLE, BASE, TABLE
from tools.schemas import limit, takes, text, word
from tools.vendor import Call

TOOL = AIRTABLE.tool(
    "list-records",
    "List records",
    "Lists records of an Airtable table, all or those that fit a formula.",
    takes(
        "base_id table",
        base_id=BASE,
        table=TABLE,
        formula=text("An Airtable formula, such as {Status} = 'Open'.", most=2000),
        view=word("Name of a view."),
        limit=limit(100, 20),
    ),
    Call(
        path="/{base_id}/{table}",
        query={"maxRecords": "{limit}", "filterByFormula": "{formula}", "view": "{view}"},
        read=rows("records", "id fields created=createdTime"),
    ),
    writes=False,
)
