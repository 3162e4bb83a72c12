"""Where customers, money and alarms are looked after."""

import base64

from tests.tools.catalogue.case import Account, Exchange, case
from tests.tools.catalogue.vendor import Answer
from tools.builtin.shopify import search_orders, search_products

ACCOUNTS = {
    "hubspot": Account(
        {"token": "canary-hubspot-token"},
        {"authorization": "Bearer canary-hubspot-token"},
        Answer({"status": "error", "message": "Contact already exists. Existing ID: 51", "category": "CONFLICT"}, 409),
        "Contact already exists.",
    ),
    "zendesk": Account(
        {"subdomain": "acme", "email": "ada@example.com", "api_token": "canary-zendesk-token"},
        {"authorization": "Basic " + base64.b64encode(b"ada@example.com/token:canary-zendesk-token").decode()},
        Answer({"error": "RecordInvalid", "description": "Record validation errors"}, 422),
        "RecordInvalid",
    ),
    "intercom": Account(
        {"token": "canary-intercom-token"},
        {"authorization": "Bearer canary-intercom-token", "intercom-version": "2.11"},
        Answer({"type": "error.list", "errors": [{"code": "not_found", "message": "Resource Not Found"}]}, 404),
        "Resource Not Found",
    ),
    "stripe": Account(
        {"api_key": "canary-stripe-key"},
        {"authorization": "Bearer canary-stripe-key"},
        Answer({"error": {"type": "invalid_request_error", "message": "No such customer: 'cus_1'"}}, 400),
        "No such customer: 'cus_1'",
    ),
    "sentry": Account(
        {"token": "canary-sentry-token", "organization": "acme"},
        {"authorization": "Bearer canary-sentry-token"},
        Answer({"detail": "You do not have permission to perform this action."}, 403),
        "You do not have permission",
    ),
    "posthog": Account(
        {"api_key": "canary-posthog-key", "project_id": "12", "base_url": "https://eu.posthog.com/"},
        {"authorization": "Bearer canary-posthog-key"},
        Answer({"type": "validation_error", "code": "invalid_input", "detail": "Unable to resolve field: evnt"}, 400),
        "Unable to resolve field: evnt",
    ),
    "pagerduty": Account(
        {"api_key": "canary-pagerduty-key", "from_email": "ada@example.com"},
        {"authorization": "Token token=canary-pagerduty-key", "accept": "application/vnd.pagerduty+json;version=2"},
        Answer({"error": {"message": "Invalid Input Provided", "code": 2001, "errors": ["Title cannot be empty."]}}, 400),
        "Invalid Input Provided",
    ),
    "calendly": Account(
        {"token": "canary-calendly-token"},
        {"authorization": "Bearer canary-calendly-token"},
        Answer({"title": "Permission Denied", "message": "You do not have permission to access this resource."}, 403),
        "You do not have permission",
    ),
    "shopify": Account(
        {"shop": "acme", "access_token": "canary-shopify-token"},
        {"x-shopify-access-token": "canary-shopify-token"},
        Answer({"errors": [{"message": "Access denied for orders field.", "extensions": {"code": "ACCESS_DENIED"}}]}),
        "Access denied for orders field.",
    ),
}
ME = Exchange("GET https://api.calendly.com/users/me", {"resource": {"uri": "https://api.calendly.com/users/AAA", "name": "Ada"}})
CONTACT_FIELDS = ["firstname", "lastname", "email", "phone", "company", "lifecyclestage"]

CASES = [
    case(
        "hubspot-search-contacts",
        {"query": "ada"},
        Exchange(
            "POST https://api.hubapi.com/crm/v3/objects/contacts/search",
            {"total": 1, "results": [{"id": "51", "properties": {"firstname": "Ada", "email": "ada@example.com", "phone": None}}]},
            sends={"query": "ada", "limit": 10, "properties": CONTACT_FIELDS},
        ),
        gives=[{"id": "51", "first_name": "Ada", "email": "ada@example.com"}],
    ),
    case(
        "hubspot-create-contact",
        {"email": "ada@example.com", "first_name": "Ada"},
        Exchange(
            "POST https://api.hubapi.com/crm/v3/objects/contacts",
            {"id": "51", "properties": {"email": "ada@example.com"}, "createdAt": "2026-01-01"},
            sends={"properties": {"email": "ada@example.com", "firstname": "Ada"}},
            status=201,
        ),
        gives={"id": "51", "email": "ada@example.com", "created": "2026-01-01"},
    ),
    case(
        "zendesk-create-ticket",
        {"subject": "Refund", "body": "Please", "priority": "high", "requester_email": "bob@example.com"},
        Exchange(
            "POST https://acme.zendesk.com/api/v2/tickets.json",
            {"ticket": {"id": 35, "subject": "Refund", "status": "new", "url": "https://acme.zendesk.com/api/v2/tickets/35.json"}},
            sends={
                "ticket": {
                    "subject": "Refund",
                    "comment": {"body": "Please"},
                    "priority": "high",
                    "requester": {"email": "bob@example.com", "name": "bob@example.com"},
                }
            },
            status=201,
        ),
        gives={"id": 35, "subject": "Refund", "status": "new", "url": "https://acme.zendesk.com/api/v2/tickets/35.json"},
    ),
    case(
        "zendesk-search-tickets",
        {"query": "status<solved refund"},
        Exchange(
            "GET https://acme.zendesk.com/api/v2/search.json",
            {"results": [{"id": 35, "subject": "Refund", "status": "open", "tags": []}], "count": 1},
            query={"query": "type:ticket status<solved refund", "per_page": "20"},
        ),
        gives=[{"id": 35, "subject": "Refund", "status": "open"}],
    ),
    case(
        "intercom-find-contact",
        {"email": "bob@example.com"},
        Exchange(
            "POST https://api.intercom.io/contacts/search",
            {"type": "list", "data": [{"id": "c1", "role": "user", "name": "Bob", "email": "bob@example.com"}]},
            sends={"query": {"field": "email", "operator": "=", "value": "bob@example.com"}},
        ),
        gives=[{"id": "c1", "role": "user", "name": "Bob", "email": "bob@example.com"}],
    ),
    case(
        "intercom-search-conversations",
        {"contact_id": "c1", "limit": 3},
        Exchange(
            "POST https://api.intercom.io/conversations/search",
            {"conversations": [{"id": "9", "state": "open", "open": True, "source": {"subject": "Help", "body": "<p>Hi</p>"}}]},
            sends={"query": {"field": "contact_ids", "operator": "=", "value": "c1"}, "pagination": {"per_page": 3}},
        ),
        gives=[{"id": "9", "state": "open", "open": True, "title": "Help", "body": "<p>Hi</p>"}],
    ),
    case(
        "intercom-reply",
        {"conversation_id": "9", "admin_id": "1", "body": "Hello", "kind": "note"},
        Exchange(
            "POST https://api.intercom.io/conversations/9/reply",
            {"type": "conversation", "id": "9", "state": "open", "updated_at": 1},
            sends={"message_type": "note", "type": "admin", "admin_id": "1", "body": "Hello"},
        ),
        gives={"id": "9", "state": "open", "updated_at": 1},
    ),
    case(
        "stripe-search-customers",
        {"query": "email:'ada@example.com'"},
        Exchange(
            "GET https://api.stripe.com/v1/customers/search",
            {"object": "search_result", "data": [{"id": "cus_1", "name": "Ada", "email": "ada@example.com", "balance": 0}]},
            query={"query": "email:'ada@example.com'", "limit": "10"},
        ),
        gives=[{"id": "cus_1", "name": "Ada", "email": "ada@example.com", "balance": 0}],
    ),
    case(
        "stripe-list-payments",
        {"customer": "cus_1", "limit": 1},
        Exchange(
            "GET https://api.stripe.com/v1/charges",
            {"data": [{"id": "ch_1", "amount": 500, "currency": "usd", "status": "succeeded"}]},
            query={"customer": "cus_1", "limit": "1"},
        ),
        gives=[{"id": "ch_1", "amount": 500, "currency": "usd", "status": "succeeded"}],
    ),
    case(
        "stripe-list-invoices",
        {"status": "open"},
        Exchange(
            "GET https://api.stripe.com/v1/invoices",
            {"data": [{"id": "in_1", "number": "A-1", "status": "open", "total": 500}]},
            query={"status": "open", "limit": "10"},
        ),
        gives=[{"id": "in_1", "number": "A-1", "status": "open", "total": 500}],
    ),
    case(
        "stripe-list-subscriptions",
        {},
        Exchange(
            "GET https://api.stripe.com/v1/subscriptions",
            {"data": [{"id": "sub_1", "status": "active", "items": {"data": [{"price": {"id": "price_1"}}]}}]},
            query={"limit": "10"},
        ),
        gives=[{"id": "sub_1", "status": "active", "prices": ["price_1"]}],
    ),
    case(
        "sentry-search-issues",
        {},
        Exchange(
            "GET https://sentry.io/api/0/organizations/acme/issues/",
            [{"id": "1", "shortId": "APP-1", "title": "KeyError", "count": "7", "userCount": 2}],
            query={"query": "is:unresolved", "statsPeriod": "14d", "limit": "20"},
        ),
        gives=[{"id": "1", "short_id": "APP-1", "title": "KeyError", "count": "7", "users": 2}],
    ),
    case(
        "sentry-read-issue",
        {"issue_id": "1"},
        Exchange(
            "GET https://sentry.io/api/0/organizations/acme/issues/1/events/latest/",
            {
                "eventID": "e1",
                "title": "KeyError",
                "entries": [
                    {
                        "type": "exception",
                        "data": {
                            "values": [
                                {
                                    "type": "KeyError",
                                    "value": "'a'",
                                    "stacktrace": {"frames": [{"filename": "a.py", "lineNo": 3, "function": "f"}]},
                                }
                            ]
                        },
                    }
                ],
            },
        ),
        gives={
            "event": "e1",
            "title": "KeyError",
            "exceptions": [{"type": "KeyError", "value": "'a'", "newest_frames_last": ["a.py:3 in f"]}],
        },
    ),
    case(
        "posthog-query",
        {"hogql": "SELECT count() FROM events"},
        Exchange(
            "POST https://eu.posthog.com/api/projects/12/query/",
            {"columns": ["count()"], "results": [[42]], "hogql": "SELECT"},
            sends={"query": {"kind": "HogQLQuery", "query": "SELECT count() FROM events"}},
        ),
        gives={"columns": ["count()"], "results": [[42]]},
    ),
    case(
        "pagerduty-list-incidents",
        {},
        Exchange(
            "GET https://api.pagerduty.com/incidents",
            {"incidents": [{"id": "P1", "incident_number": 4, "title": "Down", "service": {"summary": "Web"}}]},
            query={"statuses[]": ["triggered", "acknowledged"], "limit": "20", "sort_by": "created_at:desc"},
        ),
        gives=[{"id": "P1", "number": 4, "title": "Down", "service": "Web"}],
    ),
    case(
        "pagerduty-create-incident",
        {"title": "Down", "service_id": "S1", "details": "It is down"},
        Exchange(
            "POST https://api.pagerduty.com/incidents",
            {"incident": {"id": "P2", "incident_number": 5, "status": "triggered", "html_url": "https://p"}},
            sends={
                "incident": {
                    "type": "incident",
                    "title": "Down",
                    "service": {"id": "S1", "type": "service_reference"},
                    "urgency": "high",
                    "body": {"type": "incident_body", "details": "It is down"},
                }
            },
            headers={"from": "ada@example.com"},
            status=201,
        ),
        gives={"id": "P2", "number": 5, "status": "triggered", "url": "https://p"},
    ),
    case(
        "calendly-list-events",
        {"min_start_time": "2026-03-01T00:00:00Z"},
        ME,
        Exchange(
            "GET https://api.calendly.com/scheduled_events",
            {"collection": [{"name": "Intro", "status": "active", "start_time": "2026-03-01T09:00:00Z", "location": {"type": "zoom"}}]},
            query={
                "user": "https://api.calendly.com/users/AAA",
                "status": "active",
                "min_start_time": "2026-03-01T00:00:00Z",
                "count": "20",
                "sort": "start_time:asc",
            },
        ),
        gives=[{"name": "Intro", "status": "active", "start": "2026-03-01T09:00:00Z", "place": "zoom"}],
    ),
    case(
        "calendly-list-event-types",
        {},
        ME,
        Exchange(
            "GET https://api.calendly.com/event_types",
            {"collection": [{"name": "Intro", "duration": 30, "scheduling_url": "https://calendly.com/ada/intro"}]},
            query={"user": "https://api.calendly.com/users/AAA", "active": "true", "count": "100"},
        ),
        gives=[{"name": "Intro", "minutes": 30, "link": "https://calendly.com/ada/intro"}],
    ),
    case(
        "shopify-search-orders",
        {"query": "financial_status:paid", "limit": 2},
        Exchange(
            "POST https://acme.myshopify.com/admin/api/2026-07/graphql.json",
            {
                "data": {
                    "orders": {
                        "nodes": [
                            {
                                "id": "gid://shopify/Order/1",
                                "name": "#1001",
                                "displayFinancialStatus": "PAID",
                                "totalPriceSet": {"shopMoney": {"amount": "10.0", "currencyCode": "EUR"}},
                            }
                        ]
                    }
                }
            },
            sends={"query": search_orders.QUERY, "variables": {"first": 2, "query": "financial_status:paid"}},
        ),
        gives=[{"id": "gid://shopify/Order/1", "name": "#1001", "payment": "PAID", "total": "10.0", "currency": "EUR"}],
    ),
    case(
        "shopify-search-products",
        {},
        Exchange(
            "POST https://acme.myshopify.com/admin/api/2026-07/graphql.json",
            {"data": {"products": {"nodes": [{"id": "gid://shopify/Product/1", "title": "Shirt", "totalInventory": 3}]}}},
            sends={"query": search_products.QUERY, "variables": {"first": 10}},
        ),
        gives=[{"id": "gid://shopify/Product/1", "title": "Shirt", "inventory": 3}],
    ),
]
