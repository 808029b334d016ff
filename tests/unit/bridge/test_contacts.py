"""Contacts on networks that tell less, more, or in another order than the emulated one."""

import attrs
import pytest
from trio.testing import MockClock

from gateway.errors import StoreError
from gateway.networks.base import (
    AddContact,
    CommandDone,
    Contact,
    ContactChanged,
    ContactList,
    ContactRemoved,
    ContactRequest,
    Deny,
    Grant,
    LegacyCommand,
    LegacyEvent,
    PresenceChanged,
    RemoveContact,
    RequestAnswered,
    Revoke,
    Show,
    Strand,
)
from tests.fakes.network import FakeClient, FakeNetwork
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, G, Stage

MERCUTIO = f"mercutio@{G}"
ASKED = frozenset((Strand.ASKED,))


def asks(command: LegacyCommand) -> LegacyEvent | None:
    """Answer as a network on which contacts are asked, and which tells of no removal by itself."""
    return CommandDone(command.ref) if isinstance(command, AddContact | RemoveContact) else None


async def signed_on(play: Stage, net: type[FakeNetwork]) -> FakeClient:
    net.rules.answer = asks
    if not play.gateway.domains[0].accounts:
        await play.register()
    await play.sign_on()
    await play.nothing_more()
    [client] = net.clients
    return client


async def signs_off(play: Stage) -> None:
    await play.send(f"<presence type='unavailable' from='{ORCHARD}' to='{G}'/>")
    await play.expect(f"<presence type='unavailable' from='{G}' to='{ORCHARD}'/>")
    await play.nothing_more()


def said(client: FakeClient, *kinds: type[LegacyCommand]) -> list[LegacyCommand]:
    return [one for one in client.sent if isinstance(one, kinds)]


def from_mercutio(type_: str) -> str:
    return f"<presence type='{type_}' from='{MERCUTIO}' to='{ROMEO}'/>"


def to(contact: str, type_: str) -> str:
    return f"<presence type='{type_}' from='{ROMEO}' to='{contact}'/>"


SEEN = ContactChanged(Contact("mercutio", subscription=frozenset((Strand.SEES,))))
ONLINE = PresenceChanged("mercutio", Show.ONLINE)
GRANTED = RequestAnswered(address="mercutio", granted=True)


@pytest.mark.conformance("GW-ADD-02", "GW-ROST-03")
@pytest.mark.parametrize(
    ("events", "told"),
    [
        ((SEEN, ONLINE, GRANTED), ("subscribed", "", "subscribe")),
        ((ONLINE, SEEN, GRANTED), ("subscribed", "", "subscribe")),
        ((GRANTED, SEEN, ONLINE), ("subscribed", "", "subscribe")),
        ((SEEN, ONLINE), ("subscribed", "")),
        ((GRANTED,), ("subscribed", "subscribe")),
    ],
)
async def test_a_grant_is_told_once_however_the_network_puts_it(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    events: tuple[LegacyEvent, ...],
    told: tuple[str, ...],
) -> None:
    client = await signed_on(play, net)
    await play.send(to(MERCUTIO, "subscribe"))
    await play.nothing_more()
    client.tell(ContactChanged(Contact("mercutio", subscription=ASKED)), *events)
    for type_ in told:
        await play.expect(from_mercutio(type_).replace(" type=''", ""))
    await play.nothing_more()


@pytest.mark.conformance("GW-ROST-03", "LU-ADD-02")
async def test_an_answer_to_what_the_user_has_taken_back_is_nothing(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    client = await signed_on(play, net)
    await play.send(to(MERCUTIO, "subscribe"), to(MERCUTIO, "unsubscribe"))
    await play.nothing_more()
    client.tell(GRANTED, attrs.evolve(GRANTED, granted=False))
    await play.nothing_more()
    assert len(said(client, RemoveContact)) == 1


@pytest.mark.conformance("GW-DEL-01")
async def test_a_removal_is_owed_until_it_is_carried_on_and_no_longer(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await signed_on(play, net)
    await signs_off(play)
    await play.send(to(JULIET, "unsubscribe"))
    await play.nothing_more()
    client = await signed_on(play, net)  # whose list has her still
    assert [type(one) for one in said(client, RemoveContact)] == [RemoveContact]
    await signs_off(play)
    client = await signed_on(play, net)  # she was added again with another client, for all we know
    assert said(client, RemoveContact) == []


@pytest.mark.conformance("GW-DEL-01", "GW-DEL-04")
async def test_removing_from_the_roster_also_takes_the_users_presence_away(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    """Where a removal does not end what the contact sees."""
    client = await signed_on(play, net)
    await play.send(to(JULIET, "unsubscribe"), to(JULIET, "unsubscribed"))
    await play.nothing_more()
    assert [type(one) for one in said(client, RemoveContact, Revoke)] == [RemoveContact, Revoke]


@pytest.mark.conformance("AMB-23")
async def test_who_is_no_longer_on_the_list_is_shown_no_longer(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    client = await signed_on(play, net)
    await play.send(to(JULIET, "subscribe"))
    await play.expect(f"<presence type='subscribed' from='{JULIET}' to='{ROMEO}'/>")
    client.tell(PresenceChanged("juliet", Show.ONLINE))
    await play.expect(f"<presence from='{JULIET}' to='{ROMEO}'/>")
    client.tell(ContactRemoved("juliet"))
    await play.expect(f"<presence type='unavailable' from='{JULIET}' to='{ROMEO}'/>")
    await play.nothing_more()


@pytest.mark.conformance("LU-ADD-05")
async def test_a_network_that_cannot_deny_is_told_nothing_and_the_request_is_over(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    net.capabilities = attrs.evolve(net.capabilities, deny=False)
    client = await signed_on(play, net)
    client.tell(ContactRequest(address="mercutio", nick="", reason="", token=1))
    await play.expect(from_mercutio("subscribe"))
    await play.send(to(MERCUTIO, "unsubscribed"), to(JULIET, "unsubscribed"))
    await play.nothing_more()
    assert said(client, Deny, Revoke) == []
    await signs_off(play)
    await signed_on(play, net)


@pytest.mark.conformance("GW-ADD-01", "GW-DEL-01")
async def test_nothing_is_asked_or_removed_before_the_list_is_here(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = FakeClient.tell

    def tell(client: FakeClient, *events: LegacyEvent | BaseException) -> None:
        whole(client, *[one for one in events if not isinstance(one, ContactList)])

    monkeypatch.setattr(FakeClient, "tell", tell)
    client = await signed_on(play, net)
    await play.send(
        to(JULIET, "subscribe"), to(MERCUTIO, "subscribe"), to(f"nurse@{G}", "unsubscribe")
    )
    await play.nothing_more()
    assert said(client, AddContact, RemoveContact) == []
    whole(client, ContactList((Contact("juliet", "Jule", ("Verona",)), Contact("nurse"))))
    await play.expect(f"<presence type='subscribed' from='{JULIET}' to='{ROMEO}'/>")
    await play.nothing_more()
    done = [
        (type(one), one.address)
        for one in client.sent
        if isinstance(one, AddContact | RemoveContact)
    ]
    assert sorted(done, key=str) == [(AddContact, "mercutio"), (RemoveContact, "nurse")]


@pytest.mark.conformance("LU-ADD-03")
async def test_whoever_asked_is_let_in_though_the_network_says_he_sees_and_the_store_says_nothing(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(*_: object) -> None:
        raise StoreError("the disk is full")

    client = await signed_on(play, net)
    juliet = f"<presence type='subscribed' from='{ROMEO}' to='{JULIET}'/>"
    await play.send(juliet)  # who has not asked, and sees him as the list has it
    await play.nothing_more()
    assert said(client, Grant) == []
    client.tell(ContactRequest(token=1, legacy_id="r1", address="juliet"))
    await play.expect(f"<presence type='subscribe' from='{JULIET}' to='{ROMEO}'/>")
    for broken in (False, True):
        with monkeypatch.context() as away:
            if broken:
                away.setattr(play.gateway.store, "requests", failing)
                away.setattr(play.gateway.store, "remove_request", failing)
            await play.send(juliet)
            await play.nothing_more()
    assert len(said(client, Grant)) == 2
