"""Cells of a sheet."""

from tools.answers import fields
from tools.builtin.google import SHEETS
from tools.schemas import takes, word
from tools.vendor import Call

TOOL = SHEETS.tool(
    "read",
    "Read cells",
    "Reads a range of cells of a Google sheet.",
    takes("spreadsheet_id range", spreadsheet_id=word("Id of the spreadsheet."), range=word("Such as Sheet1!A1:D20.")),
    Call(path="/{spreadsheet_id}/values/{range}", read=fields("range values")),
    writes=False,
)
