"""New objects as Stripe makes them."""

from __future__ import annotations

from tests.fake_stripe.wire import Json, new_id, now

MONTH = 30 * 24 * 3600


def made(prefix: str, kind: str, **fields: object) -> Json:
    return {"id": new_id(prefix), "object": kind, "created": now(), "livemode": False, "metadata": {}, **fields}


def price(product: str, unit_amount: int, currency: str, interval: str | None, elsewhere: dict[str, int]) -> Json:
    """`elsewhere`: amounts in other currencies, which are shown to whoever expands them."""
    recurring = {"interval": interval, "interval_count": 1, "meter": None, "trial_period_days": None, "usage_type": "licensed"}
    fields = {"billing_scheme": "per_unit", "product": product, "unit_amount": unit_amount, "unit_amount_decimal": str(unit_amount)}
    return made(
        "price", "price", active=True, currency=currency, type="recurring" if interval else "one_time",
        recurring=recurring if interval else None, nickname=None, lookup_key=None, _amounts={currency: unit_amount, **elsewhere}, **fields,
    )  # fmt: skip


def payment_intent(customer: str | None, amount: int, currency: str, metadata: Json) -> Json:
    return made(
        "pi", "payment_intent", amount=amount, amount_received=0, currency=currency, customer=customer, metadata=metadata,
        status="requires_payment_method", latest_charge=None, capture_method="automatic_async", confirmation_method="automatic",
        payment_method_types=["card"], last_payment_error=None, next_action=None, canceled_at=None, cancellation_reason=None,
    )  # fmt: skip


def charge(intent: Json, receipts: str) -> Json:
    fresh = made(
        "ch", "charge", amount=intent["amount"], amount_captured=intent["amount"], amount_refunded=0, captured=True,
        currency=intent["currency"], customer=intent["customer"], disputed=False, paid=True, payment_intent=intent["id"],
        refunded=False, status="succeeded", metadata=dict(intent["metadata"]), failure_code=None, outcome={"type": "authorized"},
    )  # fmt: skip
    return fresh | {"receipt_url": f"{receipts}/receipts/{fresh['id']}"}


def refund(charge: Json, amount: int, status: str, reason: str | None) -> Json:
    return made(
        "re", "refund", amount=amount, charge=charge["id"], currency=charge["currency"], payment_intent=charge["payment_intent"],
        reason=reason, status=status, balance_transaction=None, receipt_number=None, failure_reason=None,
    )  # fmt: skip


def dispute(charge: Json, amount: int, status: str) -> Json:
    return made(
        "dp", "dispute", amount=amount, charge=charge["id"], currency=charge["currency"], payment_intent=charge["payment_intent"],
        reason="fraudulent", status=status, balance_transactions=[], is_charge_refundable=False, enhanced_eligibility_types=[],
        evidence={}, evidence_details={"due_by": now() + 7 * 86400, "has_evidence": False, "past_due": False, "submission_count": 0},
    )  # fmt: skip


def subscription(customer: str, of: Json, quantity: int, metadata: Json, currency: str) -> Json:
    fresh = made(
        "sub", "subscription", customer=customer, status="active", currency=currency, cancel_at_period_end=False, cancel_at=None,
        canceled_at=None, ended_at=None, start_date=now(), latest_invoice=None, collection_method="charge_automatically", metadata=metadata,
    )  # fmt: skip
    item = made("si", "subscription_item", price=of, quantity=quantity, subscription=fresh["id"])
    item |= {"current_period_start": now(), "current_period_end": now() + MONTH, "discounts": [], "tax_rates": []}
    return fresh | {
        "items": {"object": "list", "data": [item], "has_more": False, "url": f"/v1/subscription_items?subscription={fresh['id']}"}
    }


def invoice_line(of: Json, amount: int, subscription: Json, proration: bool, quantity: int) -> Json:
    details = {"invoice_item": None, "proration": proration, "subscription": subscription["id"], "proration_details": None}
    return made(
        "il", "line_item", amount=amount, currency=subscription["currency"], description=f"{quantity} × plan", quantity=quantity,
        discounts=[],
        parent={"type": "subscription_item_details", "invoice_item_details": None,
                "subscription_item_details": details | {"subscription_item": subscription["items"]["data"][0]["id"]}},
        pricing={"type": "price_details", "unit_amount_decimal": str(amount),
                 "price_details": {"price": of["id"], "product": of["product"]}},
        period={"start": now(), "end": now() + MONTH}, taxes=[], discount_amounts=[], subtotal=amount,
    )  # fmt: skip


def invoice(subscription: Json, lines: list[Json], reason: str, balance: int, number: str, pages: str) -> Json:
    """Finalised and open; `balance` is what the customer owes (or, negative, has) already, in cents."""
    total = sum(line["amount"] for line in lines)
    due = max(0, total + balance)
    fresh = made(
        "in", "invoice", amount_due=due, amount_paid=0, amount_remaining=due, attempted=False, billing_reason=reason, subtotal=total,
        collection_method="charge_automatically", currency=subscription["currency"], customer=subscription["customer"], total=total,
        number=number, starting_balance=balance, ending_balance=min(0, total + balance), status="open", due_date=None,
        parent={"type": "subscription_details", "quote_details": None,
                "subscription_details": {"metadata": {}, "subscription": subscription["id"]}},
        status_transitions={"finalized_at": now(), "marked_uncollectible_at": None, "paid_at": None, "voided_at": None},
    )  # fmt: skip
    for line in lines:
        line["invoice"] = fresh["id"]
    fresh["lines"] = {"object": "list", "data": lines, "has_more": False, "url": f"/v1/invoices/{fresh['id']}/lines"}
    return fresh | {"hosted_invoice_url": f"{pages}/invoices/{fresh['id']}", "invoice_pdf": f"{pages}/invoices/{fresh['id']}?pdf"}


def invoice_payment(invoice: Json, intent: Json) -> Json:
    return made(
        "inpay", "invoice_payment", invoice=invoice["id"], amount_paid=intent["amount_received"], amount_requested=intent["amount"],
        currency=invoice["currency"], is_default=True, payment={"type": "payment_intent", "payment_intent": intent["id"]},
        status="paid", status_transitions={"canceled_at": None, "paid_at": now()},
    )  # fmt: skip


def event(kind: str, of: Json) -> Json:
    return {
        "id": new_id("evt"), "object": "event", "api_version": "2026-10-28.endive", "created": now(), "livemode": False, "type": kind,
        "pending_webhooks": 1, "request": {"id": None, "idempotency_key": None}, "data": {"object": of},
    }  # fmt: skip
