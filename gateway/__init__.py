"""Balcony: an XMPP gateway to revived legacy instant messengers (docs/architecture.md)."""

__version__ = "0.1.0"
