"""One file per XEP or feature. Each works on a `User` and is called by his session's tasks."""
