"""Money, under /billing/."""

from django.urls import path

from billing import usage_views, views, webhooks

urlpatterns = [
    path("", views.overview, name="billing"),
    path("top-up/", views.top_up, name="billing_top_up"),
    path("plans/", views.show_plans, name="billing_plans"),
    path("plans/subscribe/", views.subscribe, name="billing_subscribe"),
    path("portal/", views.portal, name="billing_portal"),
    path("done/", views.done, name="billing_done"),
    path("invoices/", views.show_invoices, name="billing_invoices"),
    path("webhook", webhooks.stripe_webhook, name="billing_webhook"),
    path("usage/", usage_views.show, name="usage"),
    path("usage/lines.csv", usage_views.export, name="usage_csv"),
    path("alert", usage_views.alert, name="budget_alert"),
    path("alert/dismiss", usage_views.dismiss_alert, name="dismiss_alert"),
]
