"""Webhooks: calls of other systems with the events of rooms."""
