"""Add a contact."""

from tools.answers import fields
from tools.builtin.hubspot import HUBSPOT
from tools.schemas import takes, word
from tools.vendor import Call

TOOL = HUBSPOT.tool(
    "create-contact",
    "Create a contact",
    "Adds a contact to HubSpot.",
    takes(
        "email",
        email=word("Their address."),
        first_name=word("First name."),
        last_name=word("Last name."),
        phone=word("Phone."),
        company=word("Company."),
    ),
    Call(
        method="POST",
        path="/objects/contacts",
        json={
            "properties": {
                "email": "{email}",
                "firstname": "{first_name}",
                "lastname": "{last_name}",
                "phone": "{phone}",
                "company": "{company}",
            }
        },
        read=fields("id email=properties.email created=createdAt"),
    ),
    writes=True,
)
