"""Two clients of one user, and one client that changes its mind: what is said last holds."""

import pytest
import trio
from trio.testing import MockClock

from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import Iq, IqType
from gateway.xmpp.xml import Element
from legacy_emu.control import Control
from legacy_emu.events import Show
from legacy_emu.faults import Kind
from tests.fakes.stage import BALCONY, JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.awaits import counting_steps, watching
from tests.scenarios.casts import Cast
from tests.scenarios.clients import COMPOSING, all_that_comes, chat
from tests.scenarios.words import (
    MERCUTIO,
    NURSE,
    REGISTER,
    login,
    message,
    presence,
    register,
    result,
)

MAX_AWAITS, LEAST_AWAITS = 500, 30


@pytest.mark.conformance("GW-EDIT-02", "GW-UNREG-01", "GW-UNREG-03", "AMB-27")
async def test_who_leaves_for_good_after_an_edit_keeps_nobody_busy(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_presence("Juliet", Show.ONLINE)
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    legacy.set_password("Romeo", "capulet")
    await play.send(register(login("romeo", "capulet")))
    await play.expect(result(id_="r1"))
    await play.expect(presence(JULIET, ROMEO, "unavailable"))
    await play.expect(presence(G, ROMEO))
    await play.expect(presence(JULIET, ROMEO))
    legacy.set_fault(Kind.STALL_ANSWERS)  # the sign-off takes its time
    with counting_steps(autojump_clock) as steps:
        await play.send(register("<remove/>", id_="x1"))
        await play.expect(result(id_="x1"))
    assert 0 < steps.of[f"sessions/{G}/{ROMEO}/registration"] < 100
    for jid in (JULIET, G):
        for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
            await play.expect(presence(jid, ROMEO, type_))
    await play.nothing_more()
    await trio.sleep(10)
    assert not legacy.connections()


# --- presence ---------------------------------------------------------------------------------


@pytest.mark.conformance("AMB-10", "GW-IN-06", "GW-OUT-03")
async def test_two_clients_of_the_same_importance_show_what_was_said_last(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    away, dnd = "<show>away</show>", "<show>dnd</show>"
    await play.send(presence(ORCHARD, G, inside=away), presence(BALCONY, G, inside=dnd))
    await play.expect(presence(G, ROMEO))
    await play.nothing_more()
    assert legacy.look("Romeo", seen_by="Juliet").show is Show.DND
    for inside, show in ((away, Show.AWAY), (dnd, Show.DND)) * 2:
        resource = ORCHARD if inside == away else BALCONY
        await play.send(presence(resource, G, inside=inside))
        await play.nothing_more()
        assert legacy.look("Romeo", seen_by="Juliet").show is show
    await play.send(*[presence(one, G, inside=away) for one in (ORCHARD, BALCONY)])
    await play.send(presence(BALCONY, G, inside=dnd), presence(BALCONY, G, "unavailable"))
    await play.expect(presence(G, BALCONY, "unavailable"))
    await play.nothing_more()
    assert legacy.look("Romeo", seen_by="Juliet").show is Show.AWAY
    assert len(legacy.arrived(account="Romeo", kind="sign_on")) == 1


# --- contacts ---------------------------------------------------------------------------------


def listed(legacy: Control, name: str) -> str:
    """Say in words what stands between Romeo and another, as Romeo has it."""
    for one in legacy.contacts("Romeo"):
        if one.address == name:
            words = ("sees", "seen_by", "asked", "asking")
            return " ".join(word for word in words if getattr(one, word))
    return "not listed"


@pytest.mark.conformance("GW-ADD-01", "GW-DEL-01", "CORE-06")
@pytest.mark.parametrize("consent", [True, False])
@pytest.mark.parametrize("rounds", [1, 3])
async def test_one_client_subscribes_and_the_other_unsubscribes(
    autojump_clock: MockClock, play: Stage, legacy: Control, consent: bool, rounds: int
) -> None:
    legacy.set_policy(consent=consent)
    legacy.sign_on("Mercutio")
    await play.register()
    await play.sign_on()
    both = presence(ORCHARD, MERCUTIO, "subscribe"), presence(BALCONY, MERCUTIO, "unsubscribe")
    await play.send(*both * rounds)
    shown = [one.get("type") for one in await all_that_comes(play) if one.get("from") == MERCUTIO]
    assert shown.count(None) == shown.count("unavailable")  # and whoever was shown is shown no more
    assert listed(legacy, "Mercutio") == "not listed"
    await play.send(presence(ORCHARD, MERCUTIO, "probe"))
    await play.expect(presence(MERCUTIO, ORCHARD, "unsubscribed"))
    await play.nothing_more()


@pytest.mark.conformance("GW-ADD-01", "GW-ADD-02", "GW-DEL-01", "CORE-06")
@pytest.mark.parametrize("rounds", [1, 3])
async def test_one_client_unsubscribes_and_the_other_subscribes(
    autojump_clock: MockClock, play: Stage, legacy: Control, rounds: int
) -> None:
    legacy.set_policy(consent=False)
    legacy.sign_on("Juliet")
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    both = presence(ORCHARD, JULIET, "unsubscribe"), presence(BALCONY, JULIET, "subscribe")
    await play.send(*both * rounds)
    told = [one.get("type") for one in await all_that_comes(play)]
    assert "subscribed" in told
    assert "unsubscribed" not in told
    assert [one for one in told if one in (None, "unavailable")][-1] is None
    assert "sees" in listed(legacy, "Juliet")
    await play.send(presence(ORCHARD, JULIET, "probe"))
    await play.expect(presence(JULIET, ORCHARD))
    await play.nothing_more()


@pytest.mark.conformance("LU-ADD-03", "LU-ADD-05", "GW-DEL-04", "CORE-06")
@pytest.mark.needs("revocation")
async def test_one_client_lets_a_contact_in_and_the_other_does_not(
    autojump_clock: MockClock, play: Stage, legacy: Control, cast: Cast
) -> None:
    legacy.sign_on("Mercutio")
    await play.register()
    await play.sign_on()
    for first, then in (("unsubscribed", "subscribed"), ("subscribed", "unsubscribed")):
        legacy.add_contact("Mercutio", "Romeo")
        nick = cast.request_nick("Mercutio")
        await play.expect(presence(MERCUTIO, ROMEO, "subscribe", nick))
        await play.send(presence(ROMEO, MERCUTIO, first), presence(ROMEO, MERCUTIO, then))
        await play.nothing_more()
        assert legacy.look("Romeo", seen_by="Mercutio").show is Show.OFFLINE
        legacy.remove_contact("Mercutio", "Romeo")
        await all_that_comes(play)


# --- registrations ----------------------------------------------------------------------------


@pytest.mark.conformance("AMB-27", "GW-UNREG-03", "GW-REG-05", "CORE-06")
async def test_one_client_removes_the_registration_and_the_other_registers(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.sign_on("Juliet")
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await play.send(
        register("<remove/>", id_="x1"),
        register(login("romeo", "montague"), from_=BALCONY),
    )
    await play.expect(result(id_="x1"))
    for jid in (JULIET, G):
        for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
            await play.expect(presence(jid, ROMEO, type_))
    await play.expect(result(id_="r1", to=BALCONY))
    await play.expect(presence(G, ROMEO, "subscribe"))
    await play.nothing_more()
    assert [name for name, _ in play.accounts()] == ["romeo"]
    assert not legacy.connections()  # nobody has come anew
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await play.nothing_more()


# --- the order of one user's stanzas ----------------------------------------------------------


@pytest.mark.conformance("CORE-06", "GW-SEND-01", "GW-ADD-01", "GW-DEL-01", "GW-IN-06")
@pytest.mark.needs("one order")
async def test_whatever_one_user_sends_reaches_the_service_in_order(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.sign_on("Juliet")
    await play.register()
    await play.send(
        presence(ORCHARD, G),
        message("1", id_="m1"),
        presence(ROMEO, MERCUTIO, "subscribe"),
        message("2", id_="m2"),
        presence(ROMEO, NURSE, "unsubscribe"),
        message("3", id_="m3"),
    )
    await all_that_comes(play)
    await play.send(
        message("4", id_="m4"),
        presence(ROMEO, MERCUTIO, "unsubscribe"),
        presence(ORCHARD, G, inside="<show>away</show>"),
        message("5", id_="m5"),
        presence(ROMEO, JULIET, "unsubscribed"),
        chat(COMPOSING),
        message("6", id_="m6"),
    )
    await play.nothing_more()
    await play.send(presence(ORCHARD, G, "unavailable"))
    await all_that_comes(play)
    kinds = [
        str(one.fields["text"]) if one.kind == "message" else one.kind
        for one in legacy.arrived(account="Romeo")
        if one.kind not in ("ack", "sign_on")
    ]
    first = kinds.index("4")
    assert [one for one in kinds[:first] if one in "123"] == ["1", "2", "3"]
    assert {*kinds[:first], "presence"} == {"1", "2", "3", "presence", "add", "remove"}
    assert kinds[first:] == [
        "4", "remove", "presence", "5", "revoke", "typing", "6", "sign_off",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.needs("many sign-ons")
@pytest.mark.conformance("AMB-27", "GW-EDIT-02", "GW-SEND-05", "CORE-06")
async def test_the_user_edits_at_each_await_of_his_sign_on(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    """Whatever was reached, he ends up signed on with what was said last, once."""
    legacy.sign_on("Juliet")
    await play.register()
    [router] = play.gateway.routers
    name = str(play.jid(f"romeo@{G}").local)
    for k in range(MAX_AWAITS):
        password = f"password{k}"
        iq = Iq(
            from_=Jid.parse(BALCONY), to=Jid.parse(G), type=IqType.SET, id="e1",
            payload=Element("query", REGISTER, {}, (
                Element("username", REGISTER, {}, (name,)),
                Element("password", REGISTER, {}, (password,)),
            )),
        )  # fmt: skip

        def edits(iq: Iq = iq, password: str = password) -> None:
            legacy.set_password("Romeo", password)
            router.take(iq)

        with watching(k, edits) as at:
            await play.send(presence(ORCHARD, G), message(f"{k}", id_=f"m{k}"))
            found = await all_that_comes(play)
        if not at.has_acted:
            break
        assert [one.get("type") for one in found if one.get("id") == "e1"] == ["result"]
        last = {one.get("from"): one.get("type") for one in found if one.tag.endswith("presence")}
        assert last == {G: None, JULIET: None}
        assert legacy.look("Romeo", seen_by="Juliet").show is Show.ONLINE
        assert len(legacy.connections()) == 1
        [account] = play.gateway.store.accounts(G)
        assert account.secret == password
        returned = [one for one in found if one.get("id") == f"m{k}"]
        taken = [
            one for one in legacy.arrived(account="Romeo", kind="message")
            if one.fields["text"] == f"{k}"
        ]  # fmt: skip
        assert len(taken) <= 1
        assert len(taken) + len(returned) >= 1
        await play.send(presence(ORCHARD, G, "unavailable"))
        await all_that_comes(play)
        assert not legacy.connections()
    assert LEAST_AWAITS < k < MAX_AWAITS - 1
