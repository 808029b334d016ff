"""What survives a restart: accounts, contacts, requests, aliases, the journal, seen ids.

`store.py` is what callers use; `schema.py` and `migrations/` hold the tables, `engine.py` what
differs between SQLite and PostgreSQL, `sealing.py` the sealing of what is private.
"""
