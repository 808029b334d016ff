"""Joins XMPP and the legacy networks: stanzas become commands, events become stanzas."""
