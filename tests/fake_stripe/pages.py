"""The hosted pages, as plain as can be: Checkout, the customer portal, and a desk where an operator's part is played."""

from __future__ import annotations

from html import escape

from tests.fake_stripe.books import Books
from tests.fake_stripe.wire import Json

FRAME = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:3rem auto;padding:0 1rem}}form{{display:inline}}
button{{font:inherit;padding:.4rem 1rem}}li{{margin:.6rem 0}}small{{color:#666}}</style></head>
<body><p><small>This is not Stripe: no money moves here.</small></p><h1>{title}</h1>{body}</body></html>"""


def page(title: str, body: str) -> str:
    return FRAME.format(title=escape(title), body=body)


def button(action: str, label: str) -> str:
    return f'<form method="post" action="{escape(action)}"><button>{escape(label)}</button></form>'


def money(amount: int, currency: str) -> str:
    return f"${amount / 100:,.2f}" if currency == "usd" else f"{amount / 100:,.2f} {currency.upper()}"


def checkout(session: Json) -> str:
    if session["status"] != "open":
        return page("Checkout", f"<p>This page is {escape(session['status'])}.</p>")
    every = " every month" if session["mode"] == "subscription" else ""
    what = f"<p>{escape(session['_name'])}: <strong>{money(session['amount_total'], session['currency'])}</strong>{every}</p>"
    cancel = f'<p><a href="{escape(session["cancel_url"])}">Back</a></p>' if session["cancel_url"] else ""
    return page("Checkout", f"{what}{button('/c/pay/' + session['id'], 'Pay')}{cancel}")


def portal(books: Books, session: Json) -> str:
    rows = [
        f"<li>{escape(one['id'])} <small>{one['status']}</small> "
        + (button(f"/p/session/{session['id']}/cancel/{one['id']}", "Cancel plan") if one["status"] == "active" else "")
        for one in books.newest("subscription", customer=session["customer"])
    ]
    back = f'<p><a href="{escape(session["return_url"])}">Return</a></p>' if session["return_url"] else ""
    return page("Customer portal", f"<ul>{''.join(rows) or '<li>No plan.'}</ul>{back}")


def desk(books: Books) -> str:
    """Everything that happened, with buttons for what an operator or a bank may do to it."""
    rows = []
    for intent in books.newest("payment_intent"):
        doings = [button(f"/desk/refund/{intent['id']}", "Refund"), button(f"/desk/dispute/{intent['id']}", "Dispute")]
        rows.append(f"<li>{money(intent['amount'], intent['currency'])} <small>{intent['id']}</small> {''.join(doings)}")
    for dispute in books.newest("dispute"):
        doings = [button(f"/desk/{end}/{dispute['id']}", end.title()) for end in ("won", "lost")]
        rows.append(f"<li>Dispute <small>{dispute['id']} {dispute['status']}</small> {''.join(doings)}")
    rows += [
        f"<li>Plan <small>{one['id']}</small> {button('/desk/renew/' + one['id'], 'A month later')}"
        for one in books.newest("subscription", status="active")
    ]
    meters = f"<p>{len(books.meter_events)} meter events, {len(books.events)} events.</p>"
    return page("Fake Stripe", f"<ul>{''.join(rows) or '<li>Nothing happened yet.'}</ul>{meters}")
