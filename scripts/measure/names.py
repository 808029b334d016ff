"""Names that the bench and the programs it starts agree on."""

GATEWAY = "gw.localhost"
DOMAIN = "localhost"
SECRET = "bench"  # noqa: S105 - of a component link on this machine that lives for minutes
CONTACTS = 20  # of each user, all online


class BenchFailed(Exception):
    """A step did not come to its end; the message says which, and what was seen of it."""


def user_jid(number: int) -> str:
    return f"u{number}@{DOMAIN}"
