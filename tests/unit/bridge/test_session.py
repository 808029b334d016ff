"""A user registers, signs on, chats and leaves: between literal stanzas and a fake network."""

import pytest
from trio.testing import MockClock

from gateway.networks.base import MessageReceived, PresenceChanged, SendMessage, SetPresence, Show
from tests.fakes.network import FakeNetwork
from tests.fakes.stage import BALCONY, JULIET, ORCHARD, ROMEO, G, Stage


@pytest.mark.conformance("GW-REG-03", "GW-REG-05", "GW-REG-06", "GW-IN-01", "GW-IN-02", "GW-IN-06")
async def test_a_user_registers_and_signs_on(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await play.register()
    assert [account.address for account in net.attempts] == ["romeo"]
    assert not net.clients
    await play.send(f"<presence from='{ORCHARD}' to='{G}'><show>away</show></presence>")
    await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
    await play.nothing_more()
    [client] = net.clients
    assert [type(one) for one in client.sent] == [SetPresence]
    assert isinstance(client.sent[0], SetPresence)
    assert client.sent[0].show is Show.AWAY


@pytest.mark.conformance("GW-SEND-01", "LU-SEND-01", "LU-SEND-02", "GW-IN-04")
async def test_messages_and_presence_pass_both_ways(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await play.register()
    await play.sign_on()
    [client] = net.clients
    client.tell(PresenceChanged("juliet", Show.AWAY, "on the balcony"))
    await play.expect(
        f"<presence from='{JULIET}' to='{ROMEO}'>"
        "<show>away</show><status>on the balcony</status></presence>"
    )
    await play.send(
        f"<message type='chat' id='m1' from='{ORCHARD}' to='{JULIET}'><body>Hi</body></message>"
    )
    client.tell(
        MessageReceived(
            conversation="juliet", sender="juliet", text="O Romeo", token=1, legacy_id="a"
        )
    )
    await play.expect(
        f"<message type='chat' id='*' from='{JULIET}' to='{ROMEO}'><body>O Romeo</body></message>"
    )
    await play.nothing_more()
    assert [one.text for one in client.sent if isinstance(one, SendMessage)] == ["Hi"]
    assert client.acknowledged == [1]


@pytest.mark.conformance("GW-OUT-01", "GW-OUT-02", "GW-OUT-03", "GW-IN-10")
async def test_the_session_ends_with_the_last_resource(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await play.register()
    await play.sign_on()
    net.clients[0].tell(PresenceChanged("juliet", Show.ONLINE))
    await play.expect(f"<presence from='{JULIET}' to='{ROMEO}'/>")
    await play.send(f"<presence from='{BALCONY}' to='{G}'/>")
    await play.expect(f"<presence from='{G}' to='{BALCONY}'/>")
    await play.expect(f"<presence from='{JULIET}' to='{BALCONY}'/>")
    await play.send(f"<presence type='unavailable' from='{ORCHARD}' to='{G}'/>")
    await play.expect(f"<presence type='unavailable' from='{JULIET}' to='{ORCHARD}'/>")
    await play.expect(f"<presence type='unavailable' from='{G}' to='{ORCHARD}'/>")
    await play.nothing_more(BALCONY)
    assert net.clients
    await play.send(f"<presence type='unavailable' from='{BALCONY}' to='{G}'/>")
    await play.expect(f"<presence type='unavailable' from='{JULIET}' to='{BALCONY}'/>")
    await play.expect(f"<presence type='unavailable' from='{G}' to='{BALCONY}'/>")
    await play.nothing_more(BALCONY)
    assert not net.clients


async def test_what_an_earlier_sign_on_saw_is_not_shown_by_the_next(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await play.register()
    await play.sign_on()
    net.clients[0].tell(PresenceChanged("juliet", Show.CHAT))
    await play.expect(f"<presence from='{JULIET}' to='{ROMEO}'><show>chat</show></presence>")
    await play.send(
        f"<presence type='unavailable' from='{ORCHARD}' to='{G}'/>",
        f"<presence from='{ORCHARD}' to='{G}'/>",
    )
    await play.expect(f"<presence type='unavailable' from='{JULIET}' to='{ORCHARD}'/>")
    await play.expect(f"<presence type='unavailable' from='{G}' to='{ORCHARD}'/>")
    await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
    await play.nothing_more()
