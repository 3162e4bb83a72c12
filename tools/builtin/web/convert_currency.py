"""Money from one currency to another, at the European Central Bank's reference rate (Frankfurter, no key)."""

from decimal import Decimal
from typing import Any

from tools.registry import Builtin, Use
from tools.schemas import number, takes, word
from tools.values import Outcome, ToolError
from tools.vendor import Call, Vendor

FRANKFURTER = Vendor(slug="convert-currency", brand="Frankfurter", base="https://api.frankfurter.dev/v1", auth_mode="none")
LATEST = Call(path="/{day}", query={"base": "{from}", "symbols": "{to}"})
CODE = "^[A-Za-z]{3}$"


async def run(arguments: dict[str, Any], use: Use) -> Outcome:
    source, target = arguments["from"].upper(), arguments["to"].upper()
    amount = Decimal(repr(arguments["amount"]))
    if source == target:
        return Outcome({"amount": float(amount), "currency": target, "rate": 1})
    answer = await FRANKFURTER.perform(LATEST, {"day": arguments.get("date", "latest"), "from": source, "to": target}, {})
    rate = answer.output["rates"].get(target)
    if rate is None:
        raise ToolError(f"The European Central Bank has no rate from {source} to {target}.", "invalid")
    converted = (amount * Decimal(repr(rate))).quantize(Decimal("0.01"))
    return Outcome(
        {"amount": float(converted), "currency": target, "rate": rate, "date": answer.output["date"]}, http_status=answer.http_status
    )


TOOL = Builtin(
    slug="convert-currency",
    display_name="Currencies",
    description="Converts an amount between currencies at the European Central Bank's daily reference rate, today's or an older one.",
    brand="Frankfurter",
    input_schema=takes(
        "amount from to",
        amount=number("How much.", minimum=-1e15, maximum=1e15),
        **{"from": word("Code such as USD.", pattern=CODE), "to": word("Code such as EUR.", pattern=CODE)},
        date=word("Of which day, such as 2024-03-28.", pattern=r"^\d{4}-\d\d-\d\d$"),
    ),
    run=run,
    writes=False,
    repeatable=True,
)
