"""The store fails in the middle of everything: what it did not take has not happened.

All that a user is told follows the commit; what fails is answered, and leaves the user as before.
"""

import pytest
import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Show
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.conftest import Raise
from tests.scenarios.words import (
    REGISTRATION_REQUIRED,
    bounced,
    error,
    iq,
    login,
    message,
    presence,
    refused,
    register,
    result,
    said,
)

NOT_STORED = ("internal-server-error", "wait", "500")
PING = "<ping xmlns='urn:xmpp:ping'/>"


async def signed_on(play: Stage, legacy: Control) -> None:
    legacy.set_presence("Juliet", Show.AWAY)
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO, inside="<show>away</show>"))
    await play.nothing_more()


async def still_talks(play: Stage, legacy: Control) -> None:
    """The session is as it was: a message goes each way, and nothing else was said."""
    await play.nothing_more()
    legacy.send_message("Juliet", "Romeo", "still here?")
    await play.expect(said("still here?"))
    since = legacy.last_arrived()
    await play.send(message("still here"))
    with trio.fail_after(10):
        await legacy.wait_arrived(since, kind="message")
    await play.nothing_more()


@pytest.mark.conformance("GW-EDIT-03", "GW-EDIT-04")
async def test_failed_change_of_account_changes_nothing(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    async with curtain() as play:
        await signed_on(play, legacy)
        await trio.sleep(60)
        play.machine.store.fail(20)
        await play.send(register(login("mercutio", "queenmab")))
        await play.expect(refused(NOT_STORED, id_="r1"))
        await trio.sleep(30)
        await still_talks(play, legacy)
    async with curtain() as play:
        assert play.accounts() == [("romeo", "montague")]


@pytest.mark.conformance("GW-UNREG-02", "GW-UNREG-06")
async def test_failed_removal_changes_nothing(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    async with curtain() as play:
        await signed_on(play, legacy)
        play.machine.store.fail(20)
        await play.send(register("<remove/>"))
        await play.expect(refused(NOT_STORED, id_="r1"))
        await trio.sleep(30)
        await still_talks(play, legacy)
    async with curtain() as play:
        assert play.accounts() == [("romeo", "montague")]


@pytest.mark.conformance("GW-REG-03")
async def test_failed_registration_registers_nobody(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    async with curtain() as play:
        play.machine.store.fail_once()
        await play.send(register(login("romeo", "montague")))
        await play.expect(refused(NOT_STORED, id_="r1"))
        await play.nothing_more()
        assert play.accounts() == []
        await play.send(register(login("romeo", "montague"), id_="r2"))
        await play.expect(result(id_="r2"))
        await play.expect(presence(G, ROMEO, "subscribe"))


@pytest.mark.conformance("CORE-06", "GW-UNREG-01", "GW-UNREG-07")
async def test_stanzas_behind_removal_find_nobody_registered(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play, legacy)
    since = legacy.last_arrived()
    await play.send(
        register("<remove/>") + message("too late") + presence(ORCHARD, JULIET, "subscribe")
    )
    await play.expect(result(id_="r1"))
    for jid in (JULIET, G):
        for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
            await play.expect(presence(jid, ROMEO, type_))
    await play.expect(bounced(REGISTRATION_REQUIRED, "too late"))
    await play.expect(presence(JULIET, ORCHARD, "error", error(*REGISTRATION_REQUIRED)))
    await play.expect(presence(JULIET, ROMEO, "unsubscribed"))
    await play.nothing_more()
    assert [one.kind for one in legacy.arrived(since) if one.account == "romeo"] == ["sign_off"]


@pytest.mark.conformance("CORE-06", "PING-01")
async def test_ping_is_answered_while_registration_is_decided(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    play.machine.store.slow_down(60)
    await play.send(register(login("romeo", "montague")) + iq("get", PING, id_="p1"))
    await play.expect(result(id_="p1"))
    await play.expect(result(id_="r1"))
    await play.expect(presence(G, ROMEO, "subscribe"))


@pytest.mark.conformance("CORE-06", "GW-EDIT-02")
async def test_message_behind_edit_goes_to_new_account(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play, legacy)
    since = legacy.last_arrived()
    await play.send(register(login("mercutio", "queenmab")) + message("from Mercutio"))
    await play.expect(presence(JULIET, ROMEO, "unsubscribe"))
    with trio.fail_after(60):
        [arrived, *_] = await legacy.wait_arrived(since, kind="message")
    assert arrived.account == "mercutio"


@pytest.mark.conformance("LU-ADD-01", "CORE-10")
async def test_request_survives_a_failing_store(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play, legacy)
    play.machine.store.fail(20)
    legacy.add_contact("Mercutio", "Romeo", reason="well met")
    await trio.sleep(40)
    came = await play.link.next_stanza()
    assert (came.get("type"), came.get("from")) == ("subscribe", f"mercutio@{G}")
    await still_talks(play, legacy)


@pytest.mark.conformance("GW-IN-01", "GW-IN-08")
async def test_sign_on_waits_for_the_store(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    play.machine.store.fail(30)
    await play.send(presence(ORCHARD, G))
    came = await play.link.next_stanza()
    assert came.get("type") == "error"
    assert "database" in "".join(came.itertext())
    with trio.fail_after(90):
        while (await play.link.next_stanza()).get("type") is not None:
            pass
    await play.nothing_more()
