"""Cards on networks that know little, or fail in the middle (VCARD-01)."""

import attrs
import pytest
from trio.testing import MockClock

from gateway.errors import ConnectionLost, StoreError
from gateway.networks.base import (
    CommandDone,
    ContactRequest,
    FetchProfile,
    LegacyCommand,
    LegacyEvent,
    Profile,
)
from tests.fakes.network import FakeClient, FakeNetwork
from tests.fakes.stage import JULIET, ROMEO, G, Stage
from tests.scenarios.words import MERCUTIO, NURSE, UNAVAILABLE, iq, refused, result

ASK = "<vCard xmlns='vcard-temp'/>"
JULIETS = "<vCard xmlns='vcard-temp'><FN>Juliet</FN><NICKNAME>Juliet</NICKNAME></vCard>"


async def signed_on(play: Stage) -> None:
    await play.register()
    await play.sign_on()
    await play.nothing_more()


@pytest.mark.conformance("VCARD-01")
async def test_of_whom_nothing_is_known_there_is_no_card(
    autojump_clock: MockClock, play: Stage
) -> None:
    await signed_on(play)
    await play.send(iq("get", ASK, to=NURSE), iq("get", ASK, id_="i2", to=JULIET))
    await play.expect(refused(UNAVAILABLE, from_=NURSE, text=False))
    await play.expect(result(JULIETS, id_="i2", from_=JULIET))
    await play.nothing_more()


@pytest.mark.conformance("VCARD-01", "CORE-03")
async def test_a_question_that_cannot_be_put_leaves_what_the_list_says(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net.capabilities = attrs.evolve(net.capabilities, profile=True)
    await signed_on(play)
    whole = FakeClient.send

    async def send(client: FakeClient, command: LegacyCommand) -> None:
        if isinstance(command, FetchProfile):
            raise ConnectionLost("gone")
        await whole(client, command)

    monkeypatch.setattr(FakeClient, "send", send)
    await play.send(iq("get", ASK, to=JULIET))
    await play.expect(result(JULIETS, from_=JULIET))
    await play.nothing_more()


@pytest.mark.conformance("VCARD-01", "LU-ADD-01")
async def test_who_asks_to_be_a_contact_has_a_card_until_he_is_answered(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    def answer(command: LegacyCommand) -> LegacyEvent | None:
        if isinstance(command, FetchProfile):
            return CommandDone(command.ref, Profile(command.address, {"nick": "Tybalt"}))
        return None

    net.capabilities = attrs.evolve(net.capabilities, profile=True)
    net.rules.answer = answer
    await signed_on(play)
    number = f"15951607@{G}"
    await play.send(iq("get", ASK, to=number))
    await play.expect(refused(UNAVAILABLE, from_=number, text=False))
    net.clients[0].tell(ContactRequest(address="15951607", token=1))
    await play.expect(f"<presence type='subscribe' from='{number}' to='{ROMEO}'/>")
    await play.send(iq("get", ASK, id_="i2", to=number))
    tybalts = "<vCard xmlns='vcard-temp'><NICKNAME>Tybalt</NICKNAME></vCard>"
    await play.expect(result(tybalts, id_="i2", from_=number))
    await play.send(f"<presence type='unsubscribed' from='{ROMEO}' to='{number}'/>")
    await play.send(iq("get", ASK, id_="i3", to=number))
    await play.expect(refused(UNAVAILABLE, id_="i3", from_=number, text=False))
    # Where his address cannot be one, nobody has asked.
    nobody = f"{'x' * 65}@{G}"
    await play.send(iq("get", ASK, id_="i4", to=nobody))
    await play.expect(refused(UNAVAILABLE, id_="i4", from_=nobody, text=False))
    await play.nothing_more()


@pytest.mark.conformance("VCARD-01")
async def test_each_field_of_a_profile_has_its_place(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    fields = {
        "about": "a rose",
        "birthday": "1583-07-31",
        "city": "Verona",
        "country": "Veneto",
        "email": "juliet@capulet.lit",
        "nick": "Jule",
        "phone": "1 2 3",
        "url": "https://capulet.lit/",
        "shoe size": "35",
    }

    def answer(command: LegacyCommand) -> LegacyEvent | None:
        if isinstance(command, FetchProfile):
            return CommandDone(command.ref, Profile("juliet", fields))
        return None

    net.capabilities = attrs.evolve(net.capabilities, profile=True)
    net.rules.answer = answer
    await signed_on(play)
    await play.send(iq("get", ASK, to=JULIET))
    await play.expect(
        result(
            "<vCard xmlns='vcard-temp'><FN>Juliet</FN><NICKNAME>Jule</NICKNAME>"
            "<BDAY>1583-07-31</BDAY><ADR><LOCALITY>Verona</LOCALITY><CTRY>Veneto</CTRY></ADR>"
            "<TEL><NUMBER>1 2 3</NUMBER></TEL><EMAIL><USERID>juliet@capulet.lit</USERID></EMAIL>"
            "<URL>https://capulet.lit/</URL><DESC>a rose</DESC></vCard>",
            from_=JULIET,
        )
    )
    await play.nothing_more()


@pytest.mark.conformance("VCARD-01", "CORE-03")
async def test_a_store_that_fails_costs_a_stranger_his_card_and_nobody_else_anything(
    autojump_clock: MockClock, play: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise StoreError("the disk is full")

    await signed_on(play)
    with monkeypatch.context() as away:
        away.setattr(play.gateway.store, "requests", failing)
        await play.send(iq("get", ASK, to=MERCUTIO), iq("get", ASK, id_="i2", to=JULIET))
        await play.expect(refused(UNAVAILABLE, from_=MERCUTIO, text=False))
        await play.expect(result(JULIETS, id_="i2", from_=JULIET))
    await play.nothing_more()
