"""The session's state machine as a table, and what holds whatever happens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bridge.states import Action, Input, Phase, State, step

A, I, P = Action, Input, Phase  # noqa: E741

TABLE = [
    # a user comes, chats and goes
    (State(P.OFFLINE), I.PRESENT, P.SIGNING_ON, (A.CONNECT,)),
    (State(P.SIGNING_ON, True, True), I.SIGNED_ON, P.ONLINE, (A.GREET,)),
    (State(P.ONLINE, True, True), I.ABSENT, P.SIGNING_OFF, (A.BOUNCE, A.DISCONNECT)),
    (State(P.SIGNING_OFF, False, True), I.ENDED, P.OFFLINE, (A.FAREWELL,)),
    # a further resource changes nothing
    (State(P.ONLINE, True, True), I.PRESENT, P.ONLINE, ()),
    (State(P.SIGNING_ON, True, True), I.PRESENT, P.SIGNING_ON, ()),
    # he leaves before he is signed on, and comes back before he is signed off
    (State(P.SIGNING_ON, True, True), I.ABSENT, P.SIGNING_OFF, (A.BOUNCE, A.DISCONNECT)),
    (State(P.SIGNING_OFF, False, True), I.PRESENT, P.SIGNING_OFF, ()),
    (State(P.SIGNING_OFF, True, True), I.ENDED, P.SIGNING_ON, (A.FAREWELL, A.CONNECT)),
    # the connection is lost, tried again, and comes back
    (State(P.ONLINE, True, True), I.LOST, P.LOST, (A.WITHDRAW,)),
    (State(P.LOST, True, True), I.ENDED, P.WAITING, (A.SET_TIMER,)),
    (State(P.WAITING, True), I.TIMER, P.SIGNING_ON, (A.CONNECT,)),
    (State(P.SIGNING_ON, True, True), I.LOST, P.LOST, (A.SAY_LOST,)),
    # he leaves while it is lost
    (State(P.LOST, True, True), I.ABSENT, P.SIGNING_OFF, (A.BOUNCE, A.DISCONNECT)),
    (State(P.WAITING, True), I.ABSENT, P.OFFLINE, (A.BOUNCE, A.FAREWELL)),
    (State(P.WAITING, False), I.TIMER, P.OFFLINE, ()),
    # the network says no
    (State(P.SIGNING_ON, True, True), I.REFUSED, P.REFUSED, (A.BOUNCE, A.SAY_REFUSED)),
    (State(P.ONLINE, True, True), I.REFUSED, P.REFUSED, (A.WITHDRAW, A.BOUNCE, A.SAY_REFUSED)),
    (State(P.REFUSED, True, True), I.ENDED, P.REFUSED, ()),
    (State(P.REFUSED, True), I.TIMER, P.REFUSED, ()),
    (State(P.REFUSED, True), I.PRESENT, P.SIGNING_ON, (A.CONNECT,)),
    (State(P.REFUSED, True, True), I.PRESENT, P.SIGNING_OFF, (A.DISCONNECT,)),
    (State(P.REFUSED, True), I.ABSENT, P.OFFLINE, (A.BOUNCE, A.FAREWELL)),
    # the registration is edited
    (State(P.REFUSED, True), I.EDITED, P.SIGNING_ON, (A.CONNECT,)),
    (State(P.WAITING, True), I.EDITED, P.SIGNING_ON, (A.CONNECT,)),
    (State(P.ONLINE, True, True), I.EDITED, P.SIGNING_OFF, (A.WITHDRAW, A.DISCONNECT)),
    (State(P.SIGNING_ON, True, True), I.EDITED, P.SIGNING_OFF, (A.DISCONNECT,)),
    (State(P.OFFLINE), I.EDITED, P.OFFLINE, ()),
    # a bug of ours
    (State(P.CRASHED, True), I.TIMER, P.SIGNING_ON, (A.CONNECT,)),
    (State(P.CRASHED, True), I.PRESENT, P.CRASHED, ()),
    (State(P.CRASHED, True), I.ABSENT, P.OFFLINE, (A.BOUNCE, A.FAREWELL)),
    (State(P.CRASHED, False), I.TIMER, P.OFFLINE, ()),
    # the connection ends without a word
    (State(P.ONLINE, True, True), I.ENDED, P.WAITING, (A.WITHDRAW, A.SET_TIMER)),
    (State(P.SIGNING_OFF, True, True), I.ABSENT, P.SIGNING_OFF, (A.BOUNCE,)),
    # what comes too late
    (State(P.SIGNING_OFF, False, True), I.SIGNED_ON, P.SIGNING_OFF, ()),
    (State(P.SIGNING_OFF, False, True), I.LOST, P.SIGNING_OFF, ()),
    (State(P.SIGNING_OFF, False, True), I.REFUSED, P.SIGNING_OFF, ()),
    (State(P.OFFLINE), I.ABSENT, P.OFFLINE, ()),
]


@pytest.mark.parametrize(("state", "given_", "phase", "actions"), TABLE)
def test_the_table(state: State, given_: Input, phase: Phase, actions: tuple[Action, ...]) -> None:
    after, done = step(state, given_)
    assert (after.phase, done) == (phase, actions)


@given(st.lists(st.sampled_from(Input), max_size=40))
def test_there_is_one_connection_at_most_whatever_happens(inputs: list[Input]) -> None:
    state, connected = State(), False
    for one in inputs:
        if one is Input.ENDED and not connected:
            continue  # only a connection can end
        if one in (Input.SIGNED_ON, Input.LOST, Input.REFUSED) and not connected:
            continue
        connected = connected and one is not Input.ENDED
        state, actions = step(state, one)
        for action in actions:
            if action is Action.CONNECT:
                assert not connected
                connected = True
        assert state.connected == connected
        if state.phase in (Phase.WAITING, Phase.CRASHED, Phase.OFFLINE):
            assert not connected


@given(st.lists(st.sampled_from(Input), max_size=40))
def test_an_absent_user_is_let_go(inputs: list[Input]) -> None:
    state = State()
    for one in inputs:
        state, _ = step(state, one)
    state, _ = step(state, Input.ABSENT)
    if state.connected:
        state, _ = step(state, Input.ENDED)
    assert state.phase is Phase.OFFLINE
