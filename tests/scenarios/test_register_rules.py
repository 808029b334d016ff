"""In-band registration to the letter: what stands beside what, and who may."""

import pytest
from trio.testing import MockClock

from legacy_emu.control import Control
from tests.fakes.stage import BALCONY, ROMEO, G, Stage
from tests.scenarios.conftest import Raise
from tests.scenarios.words import (
    BAD_REQUEST,
    FORBIDDEN,
    REGISTER,
    REGISTRATION_REQUIRED,
    form,
    iq,
    login,
    presence,
    refused,
    register,
    result,
)

UNEXPECTED = ("unexpected-request", "wait", "400")


async def is_still_registered(play: Stage) -> None:
    await play.nothing_more()
    [account] = play.gateway.store.accounts(G)
    assert (account.jid, play.accounts()) == (ROMEO, [("romeo", "montague")])


@pytest.mark.conformance("REG7-04", "CORE-10")
@pytest.mark.parametrize(
    "beside",
    [
        login("romeo", "montague"),
        "<username/>",
        form(("FORM_TYPE", REGISTER), ("username", "romeo"), ("password", "montague")),
        "<remove/>",
        "<x xmlns='urn:example:unheard-of'/>",
    ],
)
@pytest.mark.parametrize("first", [True, False])
async def test_removal_stands_alone(
    autojump_clock: MockClock, play: Stage, beside: str, first: bool
) -> None:
    await play.register()
    await play.send(register(f"<remove/>{beside}" if first else f"{beside}<remove/>"))
    await play.expect(refused(BAD_REQUEST, id_="r1", text=False))
    await is_still_registered(play)


@pytest.mark.conformance("REG7-04", "GW-REG-08")
async def test_any_resource_may_remove_and_nobody_else(
    autojump_clock: MockClock, play: Stage
) -> None:
    await play.register()
    other = "romeo@montague.lit/orchard"
    await play.send(register("<remove/>", from_=other))
    await play.expect(refused(REGISTRATION_REQUIRED, id_="r1", to=other))
    await is_still_registered(play)
    await play.send(register("<remove/>", id_="r2", from_=BALCONY))
    await play.expect(result(id_="r2", to=BALCONY))
    for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
        await play.expect(presence(G, ROMEO, type_))
    await play.nothing_more()
    assert not play.gateway.store.accounts(G)


@pytest.mark.conformance("REG7-05", "REG7-08")
async def test_who_is_served_no_longer_may_still_leave(
    autojump_clock: MockClock, curtain: Raise
) -> None:
    async with curtain() as play:
        await play.register()
    async with curtain(allow=("montague.lit",)) as play:
        await play.expect(presence(G, ROMEO))
        await play.expect(presence(G, ROMEO, "probe"))
        await play.send(iq("get", f"<query xmlns='{REGISTER}'/>"))
        await play.expect(refused(FORBIDDEN))
        await play.send(register(login("romeo", "montague")))
        await play.expect(refused(FORBIDDEN, id_="r1"))
        await is_still_registered(play)
        await play.send(register("<remove/>", id_="r2"))
        await play.expect(result(id_="r2"))
        for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
            await play.expect(presence(G, ROMEO, type_))
        await play.nothing_more()


@pytest.mark.conformance("REG7-06", "REG7-07", "AMB-04")
@pytest.mark.parametrize("registered", [True, False])
async def test_a_form_for_leaving_that_nobody_sent_is_no_registration(
    autojump_clock: MockClock, play: Stage, legacy: Control, registered: bool
) -> None:
    if registered:
        await play.register()
    since = legacy.last_arrived()
    leaving = form(
        ("FORM_TYPE", f"{REGISTER}:cancel"), ("username", "mercutio"), ("password", "queenmab")
    )
    await play.send(register(leaving))
    await play.expect(refused(UNEXPECTED, id_="r1"))
    await play.nothing_more()
    assert not legacy.arrived(since)
    assert [name for name, _ in play.accounts()] == ["romeo"] * registered
