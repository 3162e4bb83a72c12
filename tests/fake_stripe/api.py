"""The routes of the API: what `api.stripe.com` would answer."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.fake_stripe import shapes
from tests.fake_stripe.books import Books
from tests.fake_stripe.wire import Json, RefusedError, new_id, now, page_of

KINDS = {
    "customers": "customer", "products": "product", "prices": "price", "checkout/sessions": "checkout.session", "charges": "charge",
    "payment_intents": "payment_intent", "refunds": "refund", "disputes": "dispute", "subscriptions": "subscription",
    "invoices": "invoice", "invoice_payments": "invoice_payment",
}  # fmt: skip
# Which lists can be asked by what; anything else is refused, as a misspelt filter would otherwise be one that finds everything.
FILTERS = {"customer", "payment_intent", "charge", "status", "price", "subscription", "invoice", "email", "active", "type"}
PAGING = {"limit", "starting_after", "expand", "created"}


class Api:
    def __init__(self, books: Books) -> None:
        self.books = books
        self.posts: list[tuple[re.Pattern[str], Callable[..., Json]]] = [
            (re.compile(pattern + "$"), answer)
            for pattern, answer in (
                ("/v1/customers", self.make_customer),
                ("/v1/products", self.make_product),
                ("/v1/prices", self.make_price),
                ("/v1/checkout/sessions", self.make_session),
                ("/v1/refunds", self.make_refund),
                ("/v1/disputes/([^/]+)/close", self.close_dispute),
                ("/v1/billing_portal/sessions", self.make_portal),
                ("/v1/billing/meter_events", self.make_meter_event),
            )
        ]

    def answer(self, method: str, path: str, given: Json) -> Json:
        """Raises RefusedError."""
        if method == "POST":
            for pattern, answer in self.posts:
                if match := pattern.match(path):
                    with self.books.lock:
                        return shown(self.expanded(answer(given, *match.groups()), given.get("expand", [])))
        collection, _, last = path.removeprefix("/v1/").rpartition("/")
        if method == "DELETE" and collection == "customers":
            return self.books.delete_customer(last)
        if method == "DELETE" and collection == "subscriptions":
            return shown(self.books.cancel(last))
        if method == "GET":
            with self.books.lock:
                return self.read(path, path.removeprefix("/v1/"), collection, last, given)
        raise RefusedError(404, f"Unrecognized request URL ({method}: {path}).")

    def read(self, path: str, whole: str, collection: str, last: str, query: Json) -> Json:
        if whole == "events":
            since, kinds = int(query.get("created", {}).get("gte", 0)), query.get("types")
            found = [one for one in reversed(self.books.events) if one["created"] >= since and (not kinds or one["type"] in kinds)]
            return page_of(copy.deepcopy(found), path, query)
        if whole in KINDS:
            return page_of([shown(self.expanded(one, [])) for one in self.listed(KINDS[whole], query)], path, query)
        if collection == "events":
            return next(one for one in self.books.events if one["id"] == last)
        if collection in KINDS:
            return shown(self.expanded(self.books.find(KINDS[collection], last), query.get("expand", [])))
        raise RefusedError(404, f"Unrecognized request URL (GET: {path}).")

    def listed(self, kind: str, query: Json) -> Iterator[Json]:
        unknown = set(query) - FILTERS - PAGING - {"payment"}
        if unknown:
            raise RefusedError(400, f"Received unknown parameter: {unknown.pop()}", "parameter_unknown")
        wanted = {name: value for name, value in query.items() if name in FILTERS}
        if "customer" in wanted:
            self.customer(wanted["customer"])
        status = wanted.pop("status", None)
        for one in self.books.newest(kind, **wanted):
            if "payment" in query and one["payment"] != query["payment"]:
                continue
            # Stripe leaves cancelled subscriptions out unless it is asked for all.
            if status == "all" or (one["status"] == status if status else not (kind == "subscription" and one["status"] == "canceled")):
                yield one

    def expanded(self, thing: Json, paths: list[str]) -> Json:
        thing = copy.deepcopy(thing)
        for path in paths:
            if path == "payments" and thing["object"] == "invoice":
                rows = self.books.newest("invoice_payment", invoice=thing["id"])
                thing["payments"] = {"object": "list", "data": rows, "has_more": False, "url": "/v1/invoice_payments"}
            elif path == "currency_options" and thing["object"] == "price":
                thing[path] = {currency: {"unit_amount": amount} for currency, amount in thing["_amounts"].items()}
            elif isinstance(thing.get(path), str):
                thing[path] = copy.deepcopy(self.books.objects[thing[path]])
            elif path not in thing:
                raise RefusedError(400, f"This property cannot be expanded ({path}).")
        return thing

    def customer(self, given: str) -> Json:
        """One that is there and not deleted, as a parameter of something else."""
        found = self.books.objects.get(given)
        if found is None or found.get("deleted"):
            raise RefusedError(400, f"No such customer: '{given}'", "resource_missing", "customer")
        return found

    # --- Making things -------------------------------------------------------------------------------------------------

    def make_customer(self, given: Json) -> Json:
        names = {"email": given.get("email"), "name": given.get("name"), "metadata": given.get("metadata", {})}
        customer = self.books.add(shapes.made("cus", "customer", balance=0, currency=None, delinquent=False, **names))
        self.books.tell("customer.created", customer)
        return customer

    def make_product(self, given: Json) -> Json:
        return self.books.add(shapes.made("prod", "product", active=True, name=given["name"], description=None))

    def make_price(self, given: Json) -> Json:
        product = given.get("product") or self.make_product(given["product_data"])["id"]
        interval = given.get("recurring", {}).get("interval")
        elsewhere = {currency: int(option["unit_amount"]) for currency, option in given.get("currency_options", {}).items()}
        return self.books.add(shapes.price(product, int(given["unit_amount"]), given["currency"], interval, elsewhere))

    def make_session(self, given: Json) -> Json:
        (line,) = given["line_items"]  # more than one is not asked for here
        quantity = int(line.get("quantity", 1))
        if "price" in line:
            price = self.books.find("price", line["price"])
            name = self.books.objects[price["product"]]["name"]
        else:
            price = {"id": None, "currency": line["price_data"]["currency"], "unit_amount": int(line["price_data"]["unit_amount"])}
            name = line["price_data"]["product_data"]["name"]
        if (given["mode"] == "subscription") != bool(price.get("recurring")):
            raise RefusedError(400, "The price does not fit the mode of the session.", param="mode")
        self.customer(given["customer"])
        inner = given.get("subscription_data" if given["mode"] == "subscription" else "payment_intent_data", {})
        session = shapes.made(
            "cs_test", "checkout.session", mode=given["mode"], customer=given["customer"], currency=price["currency"], status="open",
            amount_subtotal=price["unit_amount"] * quantity, amount_total=price["unit_amount"] * quantity, payment_status="unpaid",
            success_url=given["success_url"], cancel_url=given.get("cancel_url"), client_reference_id=given.get("client_reference_id"),
            payment_intent=None, subscription=None, invoice=None, expires_at=now() + 86400, ui_mode="hosted_page",
        )  # fmt: skip
        session |= {"metadata": given.get("metadata", {}), "url": f"{self.books.url}/c/pay/{session['id']}"}
        return self.books.add(
            session | {"_name": name, "_price": price["id"], "_quantity": quantity, "_inner_metadata": inner.get("metadata", {})}
        )

    def make_refund(self, given: Json) -> Json:
        intent = given.get("payment_intent") or self.books.find("charge", given["charge"])["payment_intent"]
        return self.books.refund(intent, int(given["amount"]) if "amount" in given else None, reason=given.get("reason"))

    def close_dispute(self, _given: Json, dispute_id: str) -> Json:
        return self.books.close_dispute(dispute_id, "lost")

    def make_portal(self, given: Json) -> Json:
        customer = self.customer(given["customer"])
        session = shapes.made("bps", "billing_portal.session", customer=customer["id"], return_url=given.get("return_url"), flow=None)
        return self.books.add(session | {"configuration": new_id("bpc"), "url": f"{self.books.url}/p/session/{session['id']}"})

    def make_meter_event(self, given: Json) -> Json:
        identifier = given.get("identifier") or new_id("mev")
        if identifier in self.books.meter_events:
            raise RefusedError(400, f"An event already exists with identifier {identifier}.")
        at = int(given.get("timestamp", now()))
        if not now() - 35 * 86400 <= at <= now() + 300:
            raise RefusedError(400, "The timestamp is too far in the past or in the future.", param="timestamp")
        self.customer(given["payload"]["stripe_customer_id"])
        int(given["payload"]["value"])
        event: Json = {"object": "billing.meter_event", "created": now(), "event_name": given["event_name"], "identifier": identifier}
        self.books.meter_events[identifier] = event | {"livemode": False, "payload": given["payload"], "timestamp": at}
        return self.books.meter_events[identifier]


def shown(thing: Json) -> Json:
    """Without what the fake keeps for itself."""
    return {name: _shown(value) for name, value in thing.items() if not name.startswith("_")}


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(one) for one in value]
    return shown(value) if isinstance(value, dict) else value
