"""Ad-hoc commands: the gateway by another door (XEP-0050; CMD-01, CMD-02)."""

from xml.etree import ElementTree as ET

import pytest
import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Show
from legacy_emu.faults import Kind
from tests.fakes.stage import BALCONY, JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.conftest import Raise
from tests.scenarios.words import (
    BENVOLIO,
    FORBIDDEN,
    ITEM_NOT_FOUND,
    STANZAS,
    STRANGER,
    TIMEOUT,
    UNAVAILABLE,
    bounced,
    error,
    form,
    iq,
    message,
    presence,
    refused,
    result,
)

COMMANDS = "http://jabber.org/protocol/commands"
INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"
FORMS = "jabber:x:data"
REGISTER = "jabber:iq:register"
MINE = ["status", "login", "logout", "sync", "unregister"]


def command(
    node: str, inside: str = "", *, action: str = "", session: str = "", from_: str = ORCHARD
) -> str:
    acts = f" action='{action}'" if action else ""
    goes_on = f" sessionid='{session}'" if session else ""
    inner = f"<command xmlns='{COMMANDS}' node='{node}'{acts}{goes_on}>{inside}</command>"
    return iq("set", inner, id_="c1", from_=from_)


def wrong(condition: str, type_: str, code: str, detail: str) -> str:
    return (
        f"<iq type='error' id='c1' from='{G}' to='{ORCHARD}'>"
        f"<error type='{type_}' code='{code}'><{condition} xmlns='{STANZAS}'/>"
        f"<{detail} xmlns='{COMMANDS}'/></error></iq>"
    )


async def answered(play: Stage, status: str, to: str = ORCHARD) -> ET.Element:
    """Expect the answer to a step, and return its command."""
    came = await play.link.next_stanza()
    assert (came.get("type"), came.get("id"), came.get("to")) == ("result", "c1", to), came.attrib
    [found] = list(came)
    assert found.tag == f"{{{COMMANDS}}}command"
    assert found.get("status") == status
    assert found.get("sessionid")
    return found


def note(found: ET.Element) -> tuple[str, str]:
    one = found.find(f"{{{COMMANDS}}}note")
    assert one is not None
    return str(one.get("type")), str(one.text)


async def run(play: Stage, node: str) -> str:
    """Run a command of one step; returns what it said."""
    await play.send(command(node))
    kind, text = note(await answered(play, "completed"))
    assert kind == "info"
    return text


async def signed_on(play: Stage) -> None:
    await play.register()
    await play.sign_on()
    await play.nothing_more()


async def listed(play: Stage, who: str) -> list[str]:
    await play.send(iq("get", f"<query xmlns='{ITEMS}' node='{COMMANDS}'/>", from_=who))
    came = (await play.link.next_stanza())[0]
    assert all(one.get("jid") == G and one.get("name") for one in came)
    return [str(one.get("node")) for one in came]


@pytest.mark.conformance("CMD-01", "DISCO-02", "DISCO-04")
async def test_each_is_shown_the_commands_that_are_his(
    autojump_clock: MockClock, play: Stage
) -> None:
    assert await listed(play, ORCHARD) == [REGISTER]
    assert await listed(play, STRANGER) == []
    await signed_on(play)
    assert await listed(play, ORCHARD) == [REGISTER, *MINE]
    assert await listed(play, BENVOLIO) == [REGISTER]
    for node in (REGISTER, *MINE):
        await play.send(iq("get", f"<query xmlns='{INFO}' node='{node}'/>"))
        shown = (
            f"<query xmlns='{INFO}' node='{node}'>"
            "<identity category='automation' type='command-node' name='*'/>"
            f"<feature var='{INFO}'/><feature var='{COMMANDS}'/><feature var='{FORMS}'/></query>"
        )
        await play.expect(result(shown))
    for who, node in ((BENVOLIO, "logout"), (STRANGER, REGISTER), (ORCHARD, "nothing")):
        await play.send(iq("get", f"<query xmlns='{INFO}' node='{node}'/>", from_=who))
        await play.expect(refused(ITEM_NOT_FOUND, to=who, text=False))
    await play.nothing_more()


@pytest.mark.conformance("CMD-01", "GW-REG-03", "GW-REG-05", "GW-REG-07")
async def test_registering_in_two_steps_and_with_a_wrong_password_first(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    play.link.skip_welcome = False
    await play.send(command(REGISTER))
    first = await answered(play, "executing")
    actions = first.find(f"{{{COMMANDS}}}actions")
    assert actions is not None
    assert actions.get("execute") == "complete"
    assert [one.tag for one in actions] == [f"{{{COMMANDS}}}complete"]
    asked = first.find(f"{{{FORMS}}}x")
    assert asked is not None
    fields = {one.get("var"): one.get("type") for one in asked.iter(f"{{{FORMS}}}field")}
    assert fields == {"FORM_TYPE": "hidden", "username": "text-single", "password": "text-private"}
    id_ = str(first.get("sessionid"))
    bad = form(("FORM_TYPE", REGISTER), ("username", "Romeo"), ("password", "wrong"))
    await play.send(command(REGISTER, bad, action="complete", session=id_))
    again = await answered(play, "executing")
    assert note(again) == ("error", f"{play.description.title} refused this name or password.")
    assert again.get("sessionid") == id_
    shown = again.find(f"{{{FORMS}}}x")
    assert shown is not None
    assert shown.findtext(f"{{{FORMS}}}instructions") == note(again)[1]
    assert not play.gateway.domains[0].accounts
    good = form(("username", "Romeo"), ("password", "montague"))
    await play.send(command(REGISTER, good, session=id_))
    done = await answered(play, "completed")
    assert note(done) == ("info", f"You are registered with {play.description.title}.")
    await play.expect(presence(G, ROMEO, "subscribe"))
    welcome = await play.link.next_stanza()
    assert (welcome.get("type"), welcome.get("from"), welcome.get("to")) == ("chat", G, ROMEO)
    await play.nothing_more()
    await play.send(command(REGISTER, good, session=id_))
    await play.expect(wrong("not-allowed", "cancel", "405", "session-expired"))
    assert [one.kind for one in legacy.arrived(account="romeo")] == []  # checked, not signed on


@pytest.mark.conformance("CMD-01", "GW-EDIT-01", "GW-EDIT-02")
async def test_changing_the_password(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    await play.send(command(REGISTER))
    first = await answered(play, "executing")
    values = {
        str(one.get("var")): one.findtext(f"{{{FORMS}}}value")
        for one in first.iter(f"{{{FORMS}}}field")
    }
    assert values == {"FORM_TYPE": REGISTER, "username": "romeo", "password": None}
    legacy.set_password("Romeo", "new")
    fields = form(("username", "romeo"), ("password", "new"))
    await play.send(command(REGISTER, fields, session=str(first.get("sessionid"))))
    assert note(await answered(play, "completed"))[1] == (
        f"Your {play.description.title} registration is changed."
    )
    await play.expect(presence(G, ROMEO))
    await play.nothing_more()


@pytest.mark.conformance("CMD-01", "GW-UNREG-03", "GW-UNREG-06")
async def test_leaving_asks_first(autojump_clock: MockClock, play: Stage, legacy: Control) -> None:
    await signed_on(play)
    await play.send(command("unregister"))
    first = await answered(play, "executing")
    await play.nothing_more()
    assert play.gateway.domains[0].accounts
    await play.send(command("unregister", form(), session=str(first.get("sessionid"))))
    assert note(await answered(play, "completed"))[1] == (
        f"You are not registered with {play.description.title} any more."
    )
    for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
        await play.expect(presence(G, ROMEO, type_))
    await play.nothing_more()
    assert not play.gateway.domains[0].accounts
    assert not legacy.connections()


@pytest.mark.conformance("CMD-03", "AMB-20", "GW-OUT-02")
async def test_signing_off_and_on_though_the_user_is_here(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_presence("Juliet", Show.ONLINE)
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    assert await run(play, "login") == f"You are signed on to {play.description.title}."
    assert await run(play, "status") == "You are signed on as romeo. 2 contacts, 1 online."
    await play.send(command("logout"))
    await answered(play, "completed")
    await play.expect(presence(JULIET, ROMEO, "unavailable"))
    await play.expect(presence(G, ROMEO, "unavailable"))
    await play.nothing_more()
    assert not legacy.connections()
    # He stays away, whatever his client says of itself.
    await play.send(presence(ORCHARD, G, inside="<show>away</show>"))
    await play.send(presence(BALCONY, G), presence(ORCHARD, G, "probe"))
    await play.expect(presence(G, ORCHARD, "unavailable"))
    await play.send(message("Hi"))
    await play.expect(bounced(TIMEOUT, "Hi"))
    assert (await run(play, "status")).endswith("registered as romeo, and not signed on.")
    await play.nothing_more()
    assert not legacy.connections()
    await play.send(command("login"))
    assert note(await answered(play, "completed"))[1].startswith("You are being signed on")
    await play.expect(presence(G, ROMEO))
    await play.expect(presence(JULIET, ROMEO))
    await play.nothing_more()
    assert legacy.look("Romeo", seen_by="Juliet").show is not Show.OFFLINE


@pytest.mark.conformance("CMD-03", "GW-IN-01")
async def test_who_signed_off_and_comes_anew_is_signed_on(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    await play.send(command("logout"))
    await answered(play, "completed")
    await play.expect(presence(G, ROMEO, "unavailable"))
    await play.send(presence(ORCHARD, G, "unavailable"))
    await play.expect(presence(G, ORCHARD, "unavailable"))
    await trio.sleep(1_000)
    assert not list(play.gateway.sessions)  # the dialogues are forgotten, too
    await play.sign_on()
    await play.nothing_more()


@pytest.mark.conformance("CMD-03", "GW-IN-08")
async def test_signing_on_does_not_wait_for_the_next_try(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    fault = legacy.set_fault(Kind.REFUSE, retry_after=3_000)
    legacy.cut("Romeo")
    await play.expect(presence(G, ORCHARD, "error", error(*TIMEOUT)))
    legacy.clear_faults(fault)
    assert "cannot be reached" in await run(play, "status")
    await play.send(command("login"))
    await answered(play, "completed")
    await play.expect(presence(G, ROMEO))
    await play.nothing_more()


@pytest.mark.conformance("CMD-03", "AMB-13")
async def test_the_contact_list_once_more(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    async with curtain(invite_contacts=True) as play:
        await play.register()
        await play.sign_on()
        for contact in (JULIET, f"nurse@{G}"):
            came = await play.link.next_stanza()
            assert (came.get("from"), came.get("type")) == (contact, "subscribe")
            await play.send(presence(ROMEO, contact, "unsubscribed"))
        await trio.sleep(30)
        await play.nothing_more()
        await play.send(command("sync"))
        await answered(play, "completed")
        for contact in (JULIET, f"nurse@{G}"):
            came = await play.link.next_stanza()
            assert (came.get("from"), came.get("type")) == (contact, "subscribe")
        await play.nothing_more()


@pytest.mark.conformance("CMD-02")
async def test_a_step_that_makes_no_sense_is_refused_with_its_reason(
    autojump_clock: MockClock, play: Stage
) -> None:
    async def fails(step: str, detail: str) -> None:
        await play.send(step)
        await play.expect(wrong("bad-request", "modify", "400", detail))

    await fails(command(REGISTER, action="jump"), "malformed-action")
    for action in ("next", "prev", "complete", "cancel"):
        await fails(command(REGISTER, action=action), "bad-action")
    await fails(command(REGISTER, session="unknown"), "bad-sessionid")
    await play.send(command(REGISTER))
    id_ = str((await answered(play, "executing")).get("sessionid"))
    for action in ("next", "prev"):
        await fails(command(REGISTER, form(), action=action, session=id_), "bad-action")
    await fails(command(REGISTER, session=id_), "bad-payload")
    await fails(command(REGISTER, form(type_="form"), session=id_), "bad-payload")
    await fails(command("unregister", form(), session=id_), "bad-sessionid")
    await play.send(command(REGISTER, form(), session=id_, from_=BALCONY))
    other = wrong("bad-request", "modify", "400", "bad-sessionid").replace(ORCHARD, BALCONY)
    await play.expect(other)
    await play.send(command(REGISTER, form(), session=id_))  # nothing filled in
    assert note(await answered(play, "executing"))[0] == "error"
    await play.nothing_more()


@pytest.mark.conformance("CMD-02")
@pytest.mark.parametrize("how", ["action", "form"])
async def test_a_dialogue_can_always_be_left(
    autojump_clock: MockClock, play: Stage, how: str
) -> None:
    await play.send(command(REGISTER))
    id_ = str((await answered(play, "executing")).get("sessionid"))
    if how == "action":
        await play.send(command(REGISTER, action="cancel", session=id_))
    else:
        await play.send(command(REGISTER, form(type_="cancel"), session=id_))
    assert not list(await answered(play, "canceled"))
    await play.send(command(REGISTER, action="cancel", session=id_))
    await play.expect(wrong("not-allowed", "cancel", "405", "session-expired"))
    await play.nothing_more()


@pytest.mark.conformance("CMD-02", "CORE-03")
async def test_leaving_while_the_network_is_asked_leaves_nobody_unanswered(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.send(command(REGISTER))
    id_ = str((await answered(play, "executing")).get("sessionid"))
    fault = legacy.set_fault(Kind.STALL_ANSWERS)
    wrong_one = form(("username", "Romeo"), ("password", "wrong"))
    await play.send(command(REGISTER, wrong_one, session=id_))
    await trio.sleep(1)
    await play.send(command(REGISTER, wrong_one, session=id_))
    await play.expect(wrong("bad-request", "modify", "400", "bad-action"))  # one at a time
    await play.send(command(REGISTER, action="cancel", session=id_))
    await answered(play, "canceled")
    legacy.clear_faults(fault)
    await play.expect(refused(("not-acceptable", "modify", "406"), id_="c1"))
    await play.nothing_more()


@pytest.mark.conformance("CMD-02", "REG7-08")
async def test_commands_are_for_whom_they_are_for(
    autojump_clock: MockClock, curtain: Raise
) -> None:
    async with curtain() as play:
        await play.send(command("nothing"))
        await play.expect(refused(ITEM_NOT_FOUND, id_="c1", text=False))
        await play.send(command("logout"))
        await play.expect(refused(FORBIDDEN, id_="c1"))
        await play.send(command(REGISTER, from_=STRANGER))
        await play.expect(refused(FORBIDDEN, id_="c1", to=STRANGER))
        await play.send(command(REGISTER).replace(f"to='{G}'", f"to='{JULIET}'"))
        await play.expect(refused(UNAVAILABLE, id_="c1", from_=JULIET, text=False))
        await play.nothing_more()
    async with curtain(registration="closed") as play:
        await play.send(command(REGISTER))
        await play.expect(refused(FORBIDDEN, id_="c1"))
        await play.nothing_more()


@pytest.mark.conformance("CMD-02")
async def test_there_is_an_end_to_dialogues(autojump_clock: MockClock, play: Stage) -> None:
    ids = []
    for _ in range(11):
        await play.send(command(REGISTER))
        ids.append(str((await answered(play, "executing")).get("sessionid")))
    await play.send(command(REGISTER, action="cancel", session=ids[0]))
    await play.expect(wrong("not-allowed", "cancel", "405", "session-expired"))
    await trio.sleep(601)
    await play.send(command(REGISTER, action="cancel", session=ids[10]))
    await play.link.next_stanza()
    await trio.sleep(1)
    assert not list(play.gateway.sessions)


@pytest.mark.conformance("CMD-03")
async def test_commands_of_who_is_not_here(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    assert (await run(play, "login")).startswith("Add this gateway to your contact list")
    assert (await run(play, "logout")).startswith("You are signed off")
    assert await run(play, "sync") == f"You are not signed on to {play.description.title}."
    await play.nothing_more()
    assert not legacy.connections()
    await play.sign_on()  # that he was signed off when he was not here keeps him from nothing
    await play.nothing_more()


@pytest.mark.conformance("CMD-02", "REG7-03")
async def test_a_form_of_something_else_is_refused_and_the_dialogue_goes_on(
    autojump_clock: MockClock, play: Stage
) -> None:
    await play.send(command(REGISTER))
    id_ = str((await answered(play, "executing")).get("sessionid"))
    other = form(("FORM_TYPE", "urn:something:else"), ("username", "Romeo"))
    await play.send(command(REGISTER, other, session=id_))
    await play.expect(refused(("bad-request", "modify", "400"), id_="c1"))
    good = form(("username", "Romeo"), ("password", "montague"))
    await play.send(command(REGISTER, good, session=id_))
    await answered(play, "completed")
