"""A fault in one roster costs the item, or the user, that it is about; it is tried again later."""

import pytest
import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.test_roster import (
    INFO,
    JULIETS_ITEM,
    NURSES_ITEM,
    PRIVILEGE,
    READ,
    ROSTERX,
    answer,
    asks,
    granted,
    grown_up,
    info,
    items,
    put,
    roster,
    sign_on_privileged,
    sign_on_with_caps,
)
from tests.scenarios.test_roster_failures import BROKEN, in_the_roster
from tests.scenarios.words import (
    BENVOLIO,
    FORBIDDEN,
    ITEM_NOT_FOUND,
    MERCUTIO,
    NURSE,
    UNAVAILABLE,
    error,
    presence,
    register,
    result,
)

BENVOLIOS = BENVOLIO.partition("/")[0]
BENVOLIO_READ = READ.replace(ROMEO, BENVOLIOS)
BOTH = roster((JULIET, "both"), (NURSE, "both"))


def condition(name: tuple[str, str, str]) -> str:
    return error(*name, text=False)


async def benvolio_is_served(play: Stage, legacy: Control) -> None:
    """Another user of the same server has Juliet in their roster, where the gateway wrote her."""
    legacy.befriend("Mercutio", "Juliet")
    legacy.change_contact("Mercutio", "Juliet", "Jule", ())
    await play.send(granted(PRIVILEGE))
    play.link.answer_disco = False
    await play.register(BENVOLIO, "mercutio", "queenmab")
    await sign_on_as_benvolio(play)
    await answer(play, BENVOLIO_READ, roster())
    await answer(play, asks(put(JULIET, "Jule", ""), "set", BENVOLIOS))
    await answer(play, BENVOLIO_READ, roster((JULIET, "both")))
    await play.nothing_more()


async def sign_on_as_benvolio(play: Stage) -> None:
    await play.send(presence(BENVOLIO, G))
    await play.expect(presence(G, BENVOLIOS))


async def benvolio_is_served_still(play: Stage, legacy: Control, name: str) -> None:
    legacy.change_contact("Mercutio", "Juliet", name, ())
    await answer(play, BENVOLIO_READ, roster((JULIET, "both")))
    await answer(play, asks(put(JULIET, name, ""), "set", BENVOLIOS))


@pytest.mark.conformance("PRIV-02", "GW-ROST-04")
async def test_refused_item_is_tried_again_alone(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await sign_on_privileged(play, legacy)
    await answer(play, READ, roster())
    await answer(play, asks(put(*JULIETS_ITEM), "set", ROMEO), BROKEN, "error")
    await answer(play, asks(put(*NURSES_ITEM), "set", ROMEO))
    await answer(play, READ, roster((NURSE, "both")))
    await play.nothing_more()
    for delay in (60, 120, 240):
        await trio.sleep(delay - 10)
        await play.nothing_more()
        legacy.change_contact("Romeo", "Nurse", f"Nurse of {delay}")
        await answer(play, READ, roster((NURSE, "both")))
        await answer(play, asks(put(NURSE, f"Nurse of {delay}", ""), "set", ROMEO))
        await play.nothing_more()
        await trio.sleep(9)
        await answer(play, READ, roster((NURSE, "both")))
        await answer(play, asks(put(*JULIETS_ITEM), "set", ROMEO), BROKEN, "error")
        await play.nothing_more()
    await trio.sleep(470)
    await answer(play, READ, roster((NURSE, "both")))
    await answer(play, asks(put(*JULIETS_ITEM), "set", ROMEO))
    await answer(play, READ, BOTH)
    await trio.sleep(4_000)
    await play.nothing_more()


@pytest.mark.conformance("PRIV-02", "GW-ROST-04")
async def test_refused_item_is_tried_at_once_when_changed(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await sign_on_privileged(play, legacy)
    await answer(play, READ, roster())
    await answer(play, asks(put(*JULIETS_ITEM), "set", ROMEO), BROKEN, "error")
    await answer(play, asks(put(*NURSES_ITEM), "set", ROMEO))
    await answer(play, READ, roster((NURSE, "both")))
    legacy.change_contact("Romeo", "Juliet", "Jule")
    await answer(play, READ, roster((NURSE, "both")))
    await answer(play, asks(put(JULIET, "Jule", ""), "set", ROMEO))
    await answer(play, READ, BOTH)
    await play.nothing_more()


@pytest.mark.conformance("PRIV-02", "GW-ROST-04")
async def test_many_refused_items_leave_the_others_a_turn(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    for number in range(5):
        legacy.create_account(f"attendant{number}", "masked")
        legacy.befriend("Romeo", f"attendant{number}", mutual=False)
    await benvolio_is_served(play, legacy)
    await grown_up(play, legacy)
    await sign_on_with_caps(play)
    await answer(play, READ, roster())
    refused = []
    for _ in range(5):
        asked = await play.link.next_stanza()
        refused.append(asked[0][0].get("jid"))
        failure = f"<iq type='error' id='{asked.get('id')}' from='{ROMEO}' to='{G}'>{BROKEN}</iq>"
        await play.send(failure)
    await trio.sleep(59)
    await play.nothing_more()
    await answer(play, READ, roster())
    for count in range(7):
        asked = await play.link.next_stanza()
        assert (asked[0][0].get("jid") in refused) == (count > 1)
        await play.send(f"<iq type='result' id='{asked.get('id')}' from='{ROMEO}' to='{G}'/>")
    await play.expect(READ)


@pytest.mark.conformance("PRIV-02", "AMB-13", "GW-SEC-05")
@pytest.mark.parametrize("fault", ["unreadable", "unwritable", "silent to get", "silent to set"])
async def test_fault_of_one_user_costs_no_other(
    autojump_clock: MockClock, play: Stage, legacy: Control, fault: str
) -> None:
    await benvolio_is_served(play, legacy)
    await grown_up(play, legacy)
    await sign_on_with_caps(play)
    if fault == "unreadable":
        await answer(play, READ, BROKEN, "error")
    elif fault == "silent to get":
        await play.expect(READ)
    else:
        await answer(play, READ, roster())
        if fault == "silent to set":
            await play.expect(asks(put(*JULIETS_ITEM), "set", ROMEO))
        else:
            await answer(play, asks(put(*JULIETS_ITEM), "set", ROMEO), BROKEN, "error")
            await answer(play, asks(put(*NURSES_ITEM), "set", ROMEO), BROKEN, "error")
    await benvolio_is_served_still(play, legacy, "Julia")
    # The user's own contacts come when the roster is well, and by no other way before.
    await trio.sleep(50)
    await play.nothing_more()
    await trio.sleep(10 if "silent" not in fault else 40)
    await answer(play, READ, roster())
    await answer(play, asks(put(*JULIETS_ITEM), "set", ROMEO))
    await answer(play, asks(put(*NURSES_ITEM), "set", ROMEO))
    await answer(play, READ, BOTH)
    await play.nothing_more()


@pytest.mark.conformance("PRIV-02", "AMB-13")
async def test_lasting_fault_sends_contacts_another_way(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await benvolio_is_served(play, legacy)
    await grown_up(play, legacy)
    await sign_on_with_caps(play)
    for delay in (0, 59, 119):
        await trio.sleep(delay)
        await play.nothing_more()
        await answer(play, READ, BROKEN, "error")
    await answer(play, asks(f"<query xmlns='{INFO}' node='*'/>"), info(ROSTERX))
    await answer(play, asks(items("add", JULIETS_ITEM, NURSES_ITEM), "set"))
    await play.nothing_more()
    await benvolio_is_served_still(play, legacy, "Julia")
    await play.nothing_more()


@pytest.mark.conformance("PRIV-02", "AMB-13")
@pytest.mark.parametrize("refusal", [FORBIDDEN, UNAVAILABLE])
async def test_closed_roster_is_tried_again_later(
    autojump_clock: MockClock, play: Stage, legacy: Control, refusal: tuple[str, str, str]
) -> None:
    await sign_on_privileged(play, legacy)
    await answer(play, READ, condition(refusal), "error")
    await answer(play, asks(f"<query xmlns='{INFO}' node='*'/>"), info())  # takes no items
    await play.nothing_more()
    await trio.sleep(58)
    await play.nothing_more()
    await answer(play, READ, roster())
    await answer(play, asks(put(*JULIETS_ITEM), "set", ROMEO))
    await answer(play, asks(put(*NURSES_ITEM), "set", ROMEO))
    await answer(play, READ, BOTH)
    await play.nothing_more()


@pytest.mark.conformance("PRIV-02", "COMP-07")
async def test_roster_of_a_thousand_is_read(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await sign_on_privileged(play, legacy)
    friend = (
        "<item jid='friend{}@shakespeare.lit' name='A friend' subscription='both'>"
        "<group>Friends</group></item>"
    )
    crowd = "".join(friend.format(number) for number in range(1_000))
    whole = f"<query xmlns='jabber:iq:roster'>{crowd}</query>"
    await answer(play, READ, whole)
    await answer(play, asks(put(*JULIETS_ITEM), "set", ROMEO))
    await answer(play, asks(put(*NURSES_ITEM), "set", ROMEO))
    await answer(play, READ, whole.replace("</query>", BOTH.partition(">")[2]))
    await play.nothing_more()


# --- contacts that are gone already -----------------------------------------------------------


@pytest.mark.conformance("AMB-08", "GW-UNREG-05", "PRIV-02")
async def test_unregistering_passes_over_missing_items(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await in_the_roster(play, legacy)
    await play.send(register("<remove/>"))
    await play.expect(result(id_="r1"))
    missing = condition(ITEM_NOT_FOUND)
    await answer(play, asks(put(JULIET, "", "", "remove"), "set", ROMEO), missing, "error")
    await answer(play, asks(put(NURSE, "", "", "remove"), "set", ROMEO))
    for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
        await play.expect(presence(G, ROMEO, type_))
    await play.nothing_more()


@pytest.mark.conformance("AMB-08", "GW-UNREG-05", "PRIV-02")
async def test_refused_removal_holds_up_no_other(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await in_the_roster(play, legacy)
    await play.send(register("<remove/>"))
    await play.expect(result(id_="r1"))
    await answer(play, asks(put(JULIET, "", "", "remove"), "set", ROMEO), BROKEN, "error")
    await answer(play, asks(put(NURSE, "", "", "remove"), "set", ROMEO))
    for contact in (JULIET, G):
        for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
            await play.expect(presence(contact, ROMEO, type_))
    await play.nothing_more()


@pytest.mark.conformance("GW-ROST-04", "PRIV-02")
async def test_contact_gone_on_both_sides_is_settled(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await in_the_roster(play, legacy)
    legacy.remove_contact("Romeo", "Nurse")
    await answer(play, READ, BOTH)
    missing = condition(ITEM_NOT_FOUND)
    await answer(play, asks(put(NURSE, "", "", "remove"), "set", ROMEO), missing, "error")
    await trio.sleep(4_000)
    await play.nothing_more()


@pytest.mark.conformance("AMB-08", "GW-UNREG-05", "PRIV-02")
@pytest.mark.needs("consent")
async def test_unregistering_removes_pending_items(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await in_the_roster(play, legacy)
    await play.send(presence(ROMEO, MERCUTIO, "subscribe"))
    await play.nothing_more()
    await play.send(register("<remove/>"))
    await play.expect(result(id_="r1"))
    for jid in (JULIET, NURSE, MERCUTIO):
        await answer(play, asks(put(jid, "", "", "remove"), "set", ROMEO))
    for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
        await play.expect(presence(G, ROMEO, type_))
    await play.nothing_more()


@pytest.mark.conformance("PRIV-02", "RIX-02", "AMB-13")
async def test_reading_alone_does_not_count_as_working(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.send(granted(PRIVILEGE))
    await grown_up(play, legacy)
    await sign_on_with_caps(play, caps="")
    await answer(play, READ, roster())
    await answer(play, asks(put(*JULIETS_ITEM), "set", ROMEO), BROKEN, "error")
    await answer(play, asks(put(*NURSES_ITEM), "set", ROMEO), BROKEN, "error")
    await play.expect(asks(f"<query xmlns='{INFO}'/>"))  # and the client is silent
    await trio.sleep(31)
    offered = items("add", JULIETS_ITEM, NURSES_ITEM)
    await play.expect(f"<message id='*' from='{G}' to='{ROMEO}'>{offered}</message>")
    await play.send(presence(ORCHARD, G, "unavailable"))
    await play.expect(presence(G, ORCHARD, "unavailable"))
    await sign_on_with_caps(play, caps="")
    await answer(play, READ, roster((NURSE, "both")))
    await play.nothing_more()
    legacy.change_contact("Romeo", "Nurse", "Angelica")
    await answer(play, READ, roster((NURSE, "both")))
    angelica = (NURSE, "Angelica", "")
    await answer(play, asks(put(*angelica), "set", ROMEO), BROKEN, "error")
    # The client did not answer last time: it is not asked again.
    renamed = items("modify", angelica)
    await play.expect(f"<message id='*' from='{G}' to='{ROMEO}'>{renamed}</message>")
    await play.nothing_more()
