"""A session's state machine: pure. Inputs go in, the next state and what to do about it come out.

    offline -> signing_on -> online -> lost -> waiting -> signing_on ...
    signing_on, online, lost -> signing_off -> offline
    refused: the network said no; tried again when the user comes back anew or edits
    crashed: a bug of ours ended the session; tried again after a long delay

The session's tasks feed it and carry out its actions; it knows no clock, no stanza and no network.
"""

from enum import StrEnum

import attrs


class Phase(StrEnum):
    OFFLINE = "offline"
    SIGNING_ON = "signing_on"
    ONLINE = "online"
    LOST = "lost"
    WAITING = "waiting"
    SIGNING_OFF = "signing_off"
    REFUSED = "refused"
    CRASHED = "crashed"


class Input(StrEnum):
    PRESENT = "present"  # a resource of the user appeared
    ABSENT = "absent"  # his last resource left, or the account is being removed
    SIGNED_ON = "signed_on"
    LOST = "lost"  # the connection failed; trying again may help
    REFUSED = "refused"  # the network said no; trying again will not help
    ENDED = "ended"  # the connection task is over, whatever ended it
    TIMER = "timer"  # the delay that SET_TIMER asked for is over
    EDITED = "edited"  # other credentials are on record


class Action(StrEnum):
    CONNECT = "connect"  # start the connection task
    DISCONNECT = "disconnect"  # tell it to sign off
    SET_TIMER = "set_timer"
    GREET = "greet"  # the user is signed on: say so, show contacts, hand over what was held
    WITHDRAW = "withdraw"  # show contacts offline to everybody
    BOUNCE = "bounce"  # messages held or pending will not be answered by this session
    SAY_LOST = "say_lost"
    SAY_REFUSED = "say_refused"
    FAREWELL = "farewell"  # to the resources that left: contacts and gateway are unavailable


@attrs.frozen
class State:
    """Where a session stands. `connected`: its connection task exists."""

    phase: Phase = Phase.OFFLINE
    present: bool = False
    connected: bool = False


Step = tuple[State, tuple[Action, ...]]

_GONE = frozenset((Phase.SIGNING_ON, Phase.ONLINE, Phase.LOST))


def step(state: State, given: Input) -> Step:  # noqa: C901 - one case for each input
    """Return the state after `given`, and what to do, in order. Every input is legal everywhere."""
    match given:
        case Input.PRESENT:
            return _present(attrs.evolve(state, present=True))
        case Input.ABSENT:
            return _absent(attrs.evolve(state, present=False))
        case Input.EDITED:
            return _edited(state)
        case Input.ENDED:
            return _ended(attrs.evolve(state, connected=False))
        case Input.TIMER:
            if state.phase in (Phase.WAITING, Phase.CRASHED):
                return _sign_on(state)
        case Input.SIGNED_ON:
            if state.phase is Phase.SIGNING_ON:
                return attrs.evolve(state, phase=Phase.ONLINE), (Action.GREET,)
        case Input.LOST:
            if state.phase is Phase.ONLINE:
                return attrs.evolve(state, phase=Phase.LOST), (Action.WITHDRAW,)
            if state.phase is Phase.SIGNING_ON:
                return attrs.evolve(state, phase=Phase.LOST), (Action.SAY_LOST,)
        case Input.REFUSED:
            if state.phase is Phase.ONLINE:
                done = (Action.WITHDRAW, Action.BOUNCE, Action.SAY_REFUSED)
                return attrs.evolve(state, phase=Phase.REFUSED), done
            if state.phase is Phase.SIGNING_ON:
                refused = attrs.evolve(state, phase=Phase.REFUSED)
                return refused, (Action.BOUNCE, Action.SAY_REFUSED)
    return state, ()


def _sign_on(state: State) -> Step:
    if not state.present:
        return attrs.evolve(state, phase=Phase.OFFLINE), ()
    return attrs.evolve(state, phase=Phase.SIGNING_ON, connected=True), (Action.CONNECT,)


def _present(state: State) -> Step:
    if state.phase is Phase.OFFLINE:
        return _sign_on(state)
    if state.phase is Phase.REFUSED:  # back anew: one more try, once the old connection is gone
        return _after_connection(state)
    return state, ()


def _absent(state: State) -> Step:
    if state.phase in _GONE:
        off = attrs.evolve(state, phase=Phase.SIGNING_OFF)
        return off, (Action.BOUNCE, Action.DISCONNECT)
    if state.phase is Phase.SIGNING_OFF:
        return state, (Action.BOUNCE,)
    if state.connected:  # refused, and the old connection is not gone yet
        return attrs.evolve(state, phase=Phase.SIGNING_OFF), (Action.BOUNCE, Action.DISCONNECT)
    offline = attrs.evolve(state, phase=Phase.OFFLINE)
    if state.phase is Phase.OFFLINE:
        return offline, ()
    return offline, (Action.BOUNCE, Action.FAREWELL)


def _edited(state: State) -> Step:
    if state.phase in _GONE:
        withdraw = (Action.WITHDRAW,) if state.phase is Phase.ONLINE else ()
        return attrs.evolve(state, phase=Phase.SIGNING_OFF), (*withdraw, Action.DISCONNECT)
    if state.phase in (Phase.WAITING, Phase.REFUSED, Phase.CRASHED):
        return _after_connection(state)
    return state, ()


def _after_connection(state: State) -> Step:
    if state.connected:
        return attrs.evolve(state, phase=Phase.SIGNING_OFF), (Action.DISCONNECT,)
    return _sign_on(state)


def _ended(state: State) -> Step:
    if state.phase is Phase.SIGNING_OFF:
        if state.present:  # back already, or with other credentials
            again, connect = _sign_on(state)
            return again, (Action.FAREWELL, *connect)
        return attrs.evolve(state, phase=Phase.OFFLINE), (Action.FAREWELL,)
    if state.phase is Phase.LOST:
        return attrs.evolve(state, phase=Phase.WAITING), (Action.SET_TIMER,)
    if state.phase in _GONE:  # it ended without a word: as good as lost
        withdraw = (Action.WITHDRAW,) if state.phase is Phase.ONLINE else ()
        return attrs.evolve(state, phase=Phase.WAITING), (*withdraw, Action.SET_TIMER)
    return state, ()
