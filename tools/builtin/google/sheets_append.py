"""Rows at the end of a table."""

from tools.answers import fields
from tools.builtin.google import SHEETS
from tools.schemas import several, takes, word
from tools.vendor import Call

CELL = {"type": ["string", "number", "boolean", "null"], "description": "A cell; a text that starts with = is a formula."}

TOOL = SHEETS.tool(
    "append",
    "Append rows",
    "Appends rows to a table in a Google sheet.",
    takes(
        "spreadsheet_id range rows",
        spreadsheet_id=word("Id of the spreadsheet."),
        range=word("Where the table is, such as Sheet1!A1."),
        rows=several("Rows of cells.", several("One row.", CELL, 200), 500, minItems=1),
    ),
    Call(
        method="POST",
        path="/{spreadsheet_id}/values/{range}:append",
        query={"valueInputOption": "USER_ENTERED", "insertDataOption": "INSERT_ROWS"},
        json={"values": "{rows}"},
        read=fields("range=updates.updatedRange rows=updates.updatedRows"),
    ),
    writes=True,
)
