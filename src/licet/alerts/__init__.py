"""Alerts are evaluated off the request path, and sent by webhooks and mail."""
