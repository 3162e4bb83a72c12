"""Add a record to a table."""

from tools.answers import fields
from tools.builtin.airtable import AIRTABLE, BASE, TABLE
from tools.schemas import record, takes
from tools.vendor import Call

TOOL = AIRTABLE.tool(
    "create-record",
    "Create a record",
    "Adds a record to an Airtable table.",
    takes("base_id table fields", base_id=BASE, table=TABLE, fields=record("Names of fields to their values.", minProperties=1)),
    Call(
        method="POST",
        path="/{base_id}/{table}",
        json={"fields": "{fields}", "typecast": True},
        read=fields("id fields created=createdTime"),
    ),
    writes=True,
)
