"""Networks that can try credentials only by signing on: that sign-on is kept (GW-REG-04)."""

import pytest
import trio
from trio.testing import MockClock

from gateway.errors import StoreError
from gateway.networks.base import (
    ContactRequest,
    MessageReceived,
    PresenceChanged,
    Refusal,
    Show,
)
from tests.fakes.network import FakeClient, FakeNetwork
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.words import (
    CONFLICT,
    MERCUTIO,
    NOT_ACCEPTABLE,
    TIMEOUT,
    error,
    login,
    presence,
    refused,
    register,
    result,
    said,
)

KEPT_SECONDS = 60  # a sign-on that tried credentials waits so long for its user
DELAY = f"<delay xmlns='urn:xmpp:delay' from='{G}' stamp='*'/>"


@pytest.fixture
def net(net: type[FakeNetwork]) -> type[FakeNetwork]:
    net.cannot_check.append(True)
    net.one_sign_on.append(True)
    return net


def letter(text: str) -> MessageReceived:
    return MessageReceived(token=text, conversation="juliet", sender="juliet", text=text)


async def answers_the_gateway(play: Stage) -> None:
    """The client does what XEP-0100 expects after a registration."""
    await play.send(presence(ROMEO, G, "subscribed"), presence(ROMEO, G, "subscribe"))
    await play.expect(presence(G, ROMEO, "subscribed"))
    await play.expect(presence(G, ROMEO))  # the gateway is here
    await play.send(presence(ORCHARD, G))


@pytest.mark.conformance("GW-REG-04", "GW-REG-06", "GW-REG-03")
async def test_what_waited_comes_after_the_sign_on_in_order(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    net.waiting += [
        letter("one"),
        PresenceChanged("juliet", Show.DND),
        ContactRequest(address="mercutio", token="asks"),
        letter("two"),
        PresenceChanged("juliet", Show.AWAY),
    ]
    await play.send(register(login("romeo", "montague")))
    await play.expect(result(id_="r1"))
    await play.expect(presence(G, ROMEO, "subscribe"))
    await trio.sleep(30)
    await play.nothing_more()
    assert len(net.attempts) == 1
    await answers_the_gateway(play)
    await play.expect(presence(G, ROMEO))
    came = [await play.link.next_stanza() for _ in range(4)]
    bodies = [one[0].text for one in came if one.tag.endswith("message")]
    assert bodies == ["one", "two"]
    assert [(one.get("from"), one.get("type")) for one in came if one.tag.endswith("presence")] == [
        (JULIET, None),
        (MERCUTIO, "subscribe"),
    ]
    await play.nothing_more()
    assert len(net.attempts) == 1  # the sign-on that tried the password is the session's
    assert len(net.clients) == 1


@pytest.mark.conformance("GW-REG-04", "GW-REG-05")
async def test_nobody_comes_and_it_signs_off_and_loses_nothing(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    net.waiting += [letter("one"), letter("two")]
    await play.send(register(login("romeo", "montague")))
    await play.expect(result(id_="r1"))
    await play.expect(presence(G, ROMEO, "subscribe"))
    await trio.sleep(KEPT_SECONDS - 1)
    play.link.check_nothing_came()
    assert net.clients
    await play.expect(said("one"))
    await play.expect(said("two"))
    await trio.sleep(5)
    assert not net.clients
    await answers_the_gateway(play)
    await play.expect(presence(G, ROMEO))
    assert len(net.attempts) == 2


@pytest.mark.conformance("GW-REG-04", "GW-REG-07", "CORE-10")
async def test_a_refusal_leaves_nothing_behind(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await play.send(register(login("romeo", "wrong")))
    await play.expect(refused(NOT_ACCEPTABLE, id_="r1"))
    net.silent.append(True)
    await play.send(register(login("romeo", "montague"), id_="r2"))
    await trio.sleep(40)
    await play.expect(refused(TIMEOUT, id_="r2"))
    assert not net.clients
    assert not play.gateway.domains[0].accounts
    assert not list(play.gateway.sessions)


@pytest.mark.conformance("AMB-27", "GW-UNREG-01")
async def test_a_removal_ends_what_was_kept(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await play.send(register(login("romeo", "montague")))
    await play.expect(result(id_="r1"))
    await play.expect(presence(G, ROMEO, "subscribe"))
    await play.send(register("<remove/>", id_="r2"))
    await play.expect(result(id_="r2"))
    assert not net.clients
    for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
        await play.expect(presence(G, ROMEO, type_))
    await trio.sleep(120)
    await play.nothing_more()
    assert not list(play.gateway.sessions)


async def signed_on(play: Stage, net: type[FakeNetwork]) -> FakeClient:
    await play.send(register(login("romeo", "montague")))
    await play.expect(result(id_="r1"))
    await play.expect(presence(G, ROMEO, "subscribe"))
    await answers_the_gateway(play)
    await play.expect(presence(G, ROMEO))
    await play.nothing_more()
    return net.clients[0]


@pytest.mark.conformance("GW-EDIT-02", "GW-REG-04")
async def test_a_new_password_takes_over_with_the_sign_on_that_tried_it(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play, net)
    net.passwords["romeo"] = "new"
    net.waiting.append(letter("between"))
    await play.send(register(login("romeo", "new"), id_="r2"))
    found = [await play.link.next_stanza() for _ in range(3)]
    kinds = [(one.tag.rpartition("}")[2], one.get("type")) for one in found]
    assert kinds == [("iq", "result"), ("presence", None), ("message", "chat")]
    await play.nothing_more()
    assert [one.secret for one in net.attempts] == ["montague", "new"]
    assert len(net.clients) == 1


@pytest.mark.conformance("GW-EDIT-03")
async def test_a_wrong_new_password_leaves_the_session_alone(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    client = await signed_on(play, net)
    await play.send(register(login("romeo", "wrong"), id_="r2"))
    await play.expect(refused(NOT_ACCEPTABLE, id_="r2"))
    await play.nothing_more()
    assert net.clients == [client]


@pytest.mark.conformance("GW-EDIT-04", "GW-REG-04")
async def test_another_account_takes_over_with_what_waited_for_it(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play, net)
    net.waiting.append(letter("for Mercutio"))
    await play.send(register(login("mercutio", "queenmab"), id_="r2"))
    await play.expect(result(id_="r2"))
    await play.expect(presence(G, ROMEO))
    await play.expect(said("for Mercutio"))
    await play.nothing_more()
    assert [one.own_address for one in net.clients] == ["mercutio"]
    assert len(net.attempts) == 2


@pytest.mark.conformance("GW-LIFE-03", "GW-REG-04")
async def test_the_end_of_the_daemon_is_the_end_of_what_was_kept(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await play.send(register(login("romeo", "montague")))
    await play.expect(result(id_="r1"))
    await play.expect(presence(G, ROMEO, "subscribe"))
    before = trio.current_time()
    play.gateway.stop()
    await play.expect(presence(G, ROMEO, "unavailable"))
    with trio.fail_after(10):
        await play.link.ended.wait()
    assert trio.current_time() - before < 5
    assert not net.clients


@pytest.mark.conformance("GW-REG-04")
async def test_the_service_ends_it_meanwhile(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await play.send(register(login("romeo", "montague")))
    await play.expect(result(id_="r1"))
    await play.expect(presence(G, ROMEO, "subscribe"))
    net.clients[0].end(Refusal.ELSEWHERE)
    await answers_the_gateway(play)
    await play.expect(presence(G, ROMEO, "unavailable"))
    await play.expect(presence(G, ORCHARD, "error", error(*CONFLICT)))
    await play.expect(said("*", from_=G))
    await play.nothing_more()


@pytest.mark.conformance("GW-EDIT-03", "GW-REG-07")
async def test_what_was_not_tried_to_the_end_is_not_taken_for_right(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    client = await signed_on(play, net)
    net.silent.append(True)
    await play.send(register(login("romeo", "wrong"), id_="r2"))
    await trio.sleep(1)
    client.end()  # and the session signs on again, with the password on record
    await trio.sleep(40)
    play.link.check_nothing_came()
    assert [one.secret for one in net.attempts] == ["montague", "wrong", "montague"]
    await play.expect(refused(TIMEOUT, id_="r2"))
    assert [one.secret for one in play.gateway.store.accounts(G)] == ["montague"]


@pytest.mark.conformance("CORE-10", "GW-REG-04")
async def test_a_sign_on_is_not_kept_for_an_account_that_could_not_be_stored(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(play.gateway.store, "save_account", full)
    net.waiting.append(letter("for nobody"))
    await play.send(register(login("romeo", "montague")))
    await play.expect(refused(("internal-server-error", "wait", "500"), id_="r1"))
    await play.nothing_more()
    await trio.sleep(KEPT_SECONDS + 10)
    play.link.check_nothing_came()
    assert not net.clients
    assert not list(play.gateway.sessions)
