"""The exception family: who broke what, and so what happens next.

| Exception | Meaning | What happens |
|---|---|---|
| `ConfigurationError` | the operator's file or command is unusable | told on the terminal, exit 2 |
| `StoreError` | the database cannot be used | told on the terminal, exit 1 |
| `LocalProtocolError` | we broke a protocol: a bug | traceback logged, that session ends |
| `RemoteProtocolError` | the peer broke it | retry with backoff |
| `ConnectionLost` | the link went | retry with backoff and jitter |
| `Unreached` | the peer has heard nothing of us | the same, and the attempt does not count |

What a network refuses (`LoginRefused`) stands in `networks/base.py`; what an XMPP request cannot
get (`StanzaError`) in `xmpp/stanza.py`.
"""


class BalconyError(Exception):
    """The base of every error this program raises on purpose."""


class ConfigurationError(BalconyError):
    """The configuration cannot be used; the message names the key, what came, what is expected."""


class StoreError(BalconyError):
    """The store cannot be opened or used; the message says what to do."""


class LocalProtocolError(BalconyError):
    """Our side was about to break a protocol: a bug of ours."""


class RemoteProtocolError(BalconyError):
    """The peer sent what its protocol does not allow."""


class ConnectionLost(BalconyError):
    """A connection could not be made, or ended without being asked to."""


class Unreached(ConnectionLost):
    """A service was not reached: it has heard nothing of this attempt."""
