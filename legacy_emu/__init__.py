"""An emulated legacy instant messaging service, for demos, tests and authors of XMPP clients."""
