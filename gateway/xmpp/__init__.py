"""Speaks XMPP as an external component (XEP-0114). Has never heard of a legacy network."""
