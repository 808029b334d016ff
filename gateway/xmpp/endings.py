"""Why a link ended, what that asks of the operator, and how long to wait before the next try."""

from enum import Enum

import attrs

from gateway.host import Host

FIRST_DELAY_SECONDS = 1.0
MAX_DELAY_SECONDS = 120.0
STABLE_SECONDS = 60.0
CONFIGURATION_DELAY_SECONDS = 300.0
CONFLICT_DELAY_SECONDS = 60.0

_MAX_REMOTE_TEXT = 200


class Cause(Enum):
    LOST = "lost"
    CONFIGURATION = "configuration"
    CONFLICT = "conflict"
    CLOSED = "closed"  # by us


@attrs.frozen
class Ending:
    """How one connection ended. `text` is for the operator, with the remedy where there is one."""

    cause: Cause
    text: str


def ending_for(condition: str, text: str, jid: str, server: str) -> Ending:
    """Say what a stream error of the server means for the component `jid`."""
    said = f"{condition} ({text[:_MAX_REMOTE_TEXT]})" if text else condition
    match condition:
        case "host-unknown":
            return Ending(
                Cause.CONFIGURATION,
                f"{server} does not know the component {jid} ({said}): add it to the server's "
                f"configuration, correct `jid`, or have `server` name the port for components "
                f"(usually 5347): Prosody says the same on its port for clients",
            )
        case "not-authorized":
            return Ending(
                Cause.CONFIGURATION,
                f"{server} refused the secret for {jid} ({said}): `secret` must be the one that "
                f"the server's configuration has for this component, and `jid` its name there: "
                f"ejabberd says the same of a name that it does not know",
            )
        case "invalid-namespace":
            return Ending(
                Cause.CONFIGURATION,
                f"{server} does not speak the component protocol ({said}): `server` must name the "
                f"port for components (usually 5347), not the one for clients",
            )
        case "conflict":
            return Ending(
                Cause.CONFLICT,
                f"another connection serves {jid} ({said}): is a second gateway running with the "
                f"same component?",
            )
        case _:
            return Ending(Cause.LOST, f"{server} ended the stream: {said}")


def shared_link(jid: str, server: str) -> str:
    """Say that the server has let two connections in, and what that asks of the operator."""
    return (
        f"{server} divides what is for {jid} between this and another connection, and messages go "
        f"astray: is a second gateway running with the same component? end one of them"
    )


class Retry:
    """The delay before each next try: growing, with jitter, small again after a stable minute."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._tries = 0

    def delay(self, cause: Cause, up_seconds: float) -> float:
        if up_seconds >= STABLE_SECONDS:
            self._tries = 0
        if cause is Cause.CONFIGURATION:
            return CONFIGURATION_DELAY_SECONDS
        if cause is Cause.CONFLICT:
            # Never fight: with "the new one wins" two gateways would kick each other for ever.
            return CONFLICT_DELAY_SECONDS * self._host.random.uniform(1.0, 2.0)
        delay = min(FIRST_DELAY_SECONDS * 2.0**self._tries, MAX_DELAY_SECONDS)
        self._tries = min(self._tries + 1, 30)
        return delay * self._host.random.uniform(0.5, 1.0)
