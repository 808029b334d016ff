"""There is an end to the contacts of one user, however they come."""

import pytest
from trio.testing import MockClock

from gateway.bridge import user as user_module
from gateway.bridge.features import messages
from gateway.networks.base import (
    Contact,
    ContactChanged,
    PresenceChanged,
    RequestAnswered,
    Show,
)
from tests.fakes.network import FakeNetwork
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.words import CONSTRAINT, error, presence

STATES = "http://jabber.org/protocol/chatstates"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_module, "MAX_CONTACTS", 3)
    monkeypatch.setattr(messages, "MAX_CHATS", 3)


async def test_more_contacts_than_there_is_room_for(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork], few: None
) -> None:
    await play.register()
    await play.sign_on()
    await play.nothing_more()
    [session] = list(play.gateway.sessions)
    net.clients[0].tell(
        PresenceChanged("tybalt", Show.ONLINE),  # the third
        PresenceChanged("paris", Show.ONLINE),
        ContactChanged(Contact("abram", "Abram")),
        RequestAnswered(address="peter", granted=True),
        PresenceChanged("juliet", Show.AWAY),
    )
    await play.expect(presence(JULIET, ROMEO, inside="<show>away</show>"))
    await play.nothing_more()
    assert sorted(session.user.contacts) == ["juliet", "nurse", "tybalt"]
    sampson = f"sampson@{G}"
    await play.send(presence(ROMEO, sampson, "subscribe"))
    await play.expect(presence(sampson, ROMEO, "error", error(*CONSTRAINT)))
    await play.expect(presence(sampson, ROMEO, "unsubscribed"))
    await play.send(presence(ROMEO, JULIET, "subscribe"))  # whom there is room for
    await play.expect(presence(JULIET, ROMEO, "subscribed"))
    await play.expect(presence(JULIET, ROMEO, inside="<show>away</show>"))
    await play.nothing_more()


async def test_more_chats_than_are_remembered(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork], few: None
) -> None:
    await play.register()
    await play.sign_on()
    for number in range(10):
        await play.send(
            f"<message type='chat' from='{ORCHARD}' to='nobody{number}@{G}'>"
            f"<composing xmlns='{STATES}'/></message>"
        )
    await play.nothing_more()
    [session] = list(play.gateway.sessions)
    assert len(session.user.chat_states) == 3
