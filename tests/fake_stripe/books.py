"""What the fake knows, and everything that can happen to money in it."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator

from tests.fake_stripe import shapes
from tests.fake_stripe.wire import Json, RefusedError, missing, now

# Of a dispute in one of these the money is gone.
OPEN_DISPUTES = ("needs_response", "under_review")


class Books:
    """Objects by id, in the order they were made. `lock` is held by whoever changes something."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.objects: dict[str, Json] = {}
        self.meter_events: dict[str, Json] = {}
        self.events: list[Json] = []
        self.listeners: list[Callable[[Json], None]] = []
        self.url = ""  # of the server that shows the hosted pages

    def add(self, thing: Json) -> Json:
        self.objects[thing["id"]] = thing
        return thing

    def find(self, kind: str, given: str) -> Json:
        thing = self.objects.get(given)
        if thing is None or thing["object"] != kind:
            raise missing(kind, given)
        return thing

    def newest(self, kind: str, **fields: object) -> list[Json]:
        return list(self._matching(kind, fields))

    def _matching(self, kind: str, fields: dict[str, object]) -> Iterator[Json]:
        for thing in reversed(list(self.objects.values())):
            if thing["object"] == kind and all(thing.get(name) == value for name, value in fields.items()):
                yield thing

    def tell(self, kind: str, of: Json) -> Json:
        """An event with the object as it is at this moment."""
        event = shapes.event(kind, copy.deepcopy(of))
        self.events.append(event)
        for listener in self.listeners:
            listener(event)
        return event

    # --- What customers do ---------------------------------------------------------------------------------------------

    def pay(self, session_id: str) -> Json:
        """The customer pays on the hosted page. A session is paid once."""
        with self.lock:
            session = self.find("checkout.session", session_id)
            if session["status"] != "open":
                raise RefusedError(400, f"This Checkout Session is {session['status']}.")
            if session["mode"] == "subscription":
                subscription = self.subscribe(session["customer"], session["_price"], session["_quantity"], session["_inner_metadata"])
                session |= {"subscription": subscription["id"], "invoice": subscription["latest_invoice"]}
            else:
                intent = self.charge(session["customer"], session["amount_total"], session["currency"], session["_inner_metadata"])
                session["payment_intent"] = intent["id"]
            session |= {"status": "complete", "payment_status": "paid", "url": None}
            self.tell("checkout.session.completed", session)
            return session

    def charge(self, customer: str | None, amount: int, currency: str, metadata: Json) -> Json:
        """A payment that succeeds: the payment intent, with its charge."""
        intent = self.add(shapes.payment_intent(customer, amount, currency, dict(metadata)))
        self.tell("payment_intent.created", intent)
        charge = self.add(shapes.charge(intent, self.url))
        intent |= {"status": "succeeded", "amount_received": amount, "latest_charge": charge["id"]}
        self.tell("charge.succeeded", charge)
        self.tell("payment_intent.succeeded", intent)
        return intent

    def subscribe(self, customer: str, price_id: str, quantity: int, metadata: Json, currency: str = "") -> Json:
        """In the price's own currency, or another one of it."""
        price = self.find("price", price_id)
        currency = currency or price["currency"]
        subscription = self.add(shapes.subscription(customer, price, quantity, dict(metadata), currency))
        self.tell("customer.subscription.created", subscription)
        lines = [shapes.invoice_line(price, self._amount(price, subscription) * quantity, subscription, False, quantity)]
        self.bill(subscription, lines, "subscription_create")
        return subscription

    def _amount(self, price: Json, subscription: Json) -> int:
        amount: int = price["_amounts"][subscription["currency"]]
        return amount

    def renew(self, subscription_id: str) -> Json:
        """A month later: the next invoice, paid."""
        with self.lock:
            subscription = self.find("subscription", subscription_id)
            item = subscription["items"]["data"][0]
            lines = [
                shapes.invoice_line(
                    item["price"], self._amount(item["price"], subscription) * item["quantity"], subscription, False, item["quantity"]
                )
            ]
            return self.bill(subscription, lines, "subscription_cycle")

    def change_plan(self, subscription_id: str, price_id: str) -> Json:
        """To another price at once, in the first moment of the month: the old one is given back, the new one is charged."""
        with self.lock:
            subscription, price = self.find("subscription", subscription_id), self.find("price", price_id)
            item = subscription["items"]["data"][0]
            old = item["price"]
            lines = [
                shapes.invoice_line(old, -old["unit_amount"] * item["quantity"], subscription, True, item["quantity"]),
                shapes.invoice_line(price, price["unit_amount"] * item["quantity"], subscription, True, item["quantity"]),
            ]
            item["price"] = price
            self.tell("customer.subscription.updated", subscription)
            return self.bill(subscription, lines, "subscription_update")

    def bill(self, subscription: Json, lines: list[Json], reason: str) -> Json:
        customer = self.find("customer", subscription["customer"])
        number = f"{customer['id'][-8:].upper()}-{len(self.newest('invoice', customer=customer['id'])) + 1:04}"
        invoice = self.add(shapes.invoice(subscription, lines, reason, customer["balance"], number, self.url))
        customer["balance"] = invoice["ending_balance"]
        subscription["latest_invoice"] = invoice["id"]
        self.tell("invoice.created", invoice)
        if invoice["amount_due"]:
            intent = self.charge(customer["id"], invoice["amount_due"], invoice["currency"], {})
            self.add(shapes.invoice_payment(invoice, intent))
        invoice |= {"status": "paid", "amount_paid": invoice["amount_due"], "amount_remaining": 0, "attempted": True}
        invoice["status_transitions"]["paid_at"] = now()
        self.tell("invoice.paid", invoice)
        self.tell("invoice.payment_succeeded", invoice)
        return invoice

    def cancel(self, subscription_id: str) -> Json:
        with self.lock:
            subscription = self.find("subscription", subscription_id)
            subscription |= {"status": "canceled", "canceled_at": now(), "ended_at": now()}
            self.tell("customer.subscription.deleted", subscription)
            return subscription

    def delete_customer(self, customer_id: str) -> Json:
        """For good, with every subscription ended."""
        with self.lock:
            customer = self.find("customer", customer_id)
            for subscription in self.newest("subscription", customer=customer_id, status="active"):
                self.cancel(subscription["id"])
            self.tell("customer.deleted", customer)
            for name in set(customer) - {"id", "object"}:
                del customer[name]
            customer["deleted"] = True
            return customer

    # --- What happens to a payment afterwards --------------------------------------------------------------------------

    def refund(self, intent_id: str, amount: int | None = None, status: str = "succeeded", reason: str | None = None) -> Json:
        with self.lock:
            intent = self.find("payment_intent", intent_id)
            charge = self.find("charge", intent["latest_charge"])
            amount = charge["amount"] - charge["amount_refunded"] if amount is None else amount
            if not 0 < amount <= charge["amount"] - charge["amount_refunded"]:
                raise RefusedError(400, "Refund amount is greater than unrefunded amount on charge.", "charge_already_refunded")
            refund = self.add(shapes.refund(charge, amount, status, reason))
            charge["amount_refunded"] += amount
            charge["refunded"] = charge["amount_refunded"] == charge["amount"]
            self.tell("refund.created", refund)
            self.tell("charge.refunded", charge)
            return refund

    def fail_refund(self, refund_id: str) -> Json:
        """The bank sent it back."""
        with self.lock:
            refund = self.find("refund", refund_id)
            refund |= {"status": "failed", "failure_reason": "expired_or_canceled_card"}
            charge = self.find("charge", refund["charge"])
            charge["amount_refunded"] -= refund["amount"]
            charge["refunded"] = False
            self.tell("refund.updated", refund)
            self.tell("refund.failed", refund)
            return refund

    def dispute(self, intent_id: str, amount: int | None = None, status: str = "needs_response") -> Json:
        with self.lock:
            charge = self.find("charge", self.find("payment_intent", intent_id)["latest_charge"])
            dispute = self.add(shapes.dispute(charge, amount or charge["amount"], status))
            charge["disputed"] = True
            self.tell("charge.dispute.created", dispute)
            if status in OPEN_DISPUTES:
                self.tell("charge.dispute.funds_withdrawn", dispute)
            return dispute

    def close_dispute(self, dispute_id: str, status: str) -> Json:
        with self.lock:
            dispute = self.find("dispute", dispute_id)
            dispute["status"] = status
            if status == "won":
                self.tell("charge.dispute.funds_reinstated", dispute)
            self.tell("charge.dispute.closed", dispute)
            return dispute
