"""The legacy contact list comes into the user's roster, by the first way that works (AMB-13)."""

import pytest
import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Show
from tests.fakes.stage import BALCONY, JULIET, ORCHARD, ROMEO, SERVER, G, Stage
from tests.scenarios.conftest import Raise
from tests.scenarios.words import (
    MERCUTIO,
    NURSE,
    UNAVAILABLE,
    error,
    iq,
    presence,
    refused,
    register,
    result,
)

INFO = "http://jabber.org/protocol/disco#info"
ROSTERX = "http://jabber.org/protocol/rosterx"
ROSTER = "jabber:iq:roster"
NODE = "https://gajim.example"
VER = "puRFte3kTobQcJ2xNJ4UDyfSexg="
CAPS = f"<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='{NODE}' ver='{VER}'/>"
PRIVILEGE, PRIVILEGE_OLD = "urn:xmpp:privilege:2", "urn:xmpp:privilege:1"


def nick(name: str) -> str:
    return f"<nick xmlns='http://jabber.org/protocol/nick'>{name}</nick>"


def items(action: str, *contacts: tuple[str, str, str]) -> str:
    """Return XEP-0144 items: JID, name, group."""
    found = ""
    for jid, name, group in contacts:
        named = f" name='{name}'" if name else ""
        inside = f"<group>{group}</group>" if group else ""
        found += f"<item action='{action}' jid='{jid}'{named}>{inside}</item>"
    return f"<x xmlns='{ROSTERX}'>{found}</x>"


def info(*features: str, node: str = "") -> str:
    named = f" node='{node}'" if node else ""
    listed = "".join(f"<feature var='{one}'/>" for one in (INFO, *features))
    return (
        f"<query xmlns='{INFO}'{named}>"
        f"<identity category='client' type='pc' name='Gajim'/>{listed}</query>"
    )


def asks(payload: str, type_: str = "get", to: str = ORCHARD) -> str:
    return f"<iq type='{type_}' from='{G}' to='{to}'>{payload}</iq>"


async def answer(play: Stage, question: str, payload: str = "", type_: str = "result") -> None:
    """Expect the gateway's own iq, and answer it as whoever was asked."""
    asked = await play.expect(question)
    await play.send(
        f"<iq type='{type_}' id='{asked.get('id')}' from='{asked.get('to')}' to='{G}'>"
        f"{payload}</iq>"
    )


async def sign_on_with_caps(play: Stage, user: str = ORCHARD, caps: str = CAPS) -> None:
    await play.send(presence(user, G, inside=caps))
    await play.expect(presence(G, ROMEO))


async def sign_on_privileged(play: Stage, legacy: Control) -> None:
    """Romeo registers and signs on at a server that lets the gateway change rosters."""
    await play.send(granted(PRIVILEGE))
    await grown_up(play, legacy)
    await sign_on_with_caps(play)


async def grown_up(play: Stage, legacy: Control) -> None:
    """Romeo is registered, at a client that answers for itself."""
    play.link.answer_disco = False
    legacy.change_contact("Romeo", "Juliet", "Juliet C.", ("Capulets",))
    await play.register()


JULIETS_ITEM = (JULIET, "Juliet C.", "Capulets")
NURSES_ITEM = (NURSE, "The Nurse", "")


@pytest.mark.conformance("GW-IN-03", "GW-ROST-01", "GW-ROST-02", "GW-ROST-03", "RIX-01", "RIX-02")
async def test_a_client_that_takes_contact_lists_is_given_it(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_presence("Juliet", Show.AWAY)
    await grown_up(play, legacy)
    await sign_on_with_caps(play)
    await play.expect(presence(JULIET, ROMEO, inside="<show>away</show>"))
    node = f"{NODE}#{VER}"
    await answer(play, asks(f"<query xmlns='{INFO}' node='{node}'/>"), info(ROSTERX, node=node))
    await answer(play, asks(items("add", JULIETS_ITEM, NURSES_ITEM), "set"))
    await play.nothing_more()
    # The client adds what its user agreed to, as with any contact.
    await play.send(presence(ROMEO, JULIET, "subscribe"))
    await play.expect(presence(JULIET, ROMEO, "subscribed"))
    await play.expect(presence(JULIET, ROMEO, inside="<show>away</show>"))
    await play.nothing_more()
    assert "add" not in [one.kind for one in legacy.arrived(account="romeo")]


@pytest.mark.conformance("GW-ROST-04", "RIX-02")
async def test_only_differences_are_brought_later(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    async with curtain() as play:
        await grown_up(play, legacy)
        await sign_on_with_caps(play)
        node = f"{NODE}#{VER}"
        await answer(play, asks(f"<query xmlns='{INFO}' node='{node}'/>"), info(ROSTERX, node=node))
        await answer(play, asks(items("add", JULIETS_ITEM, NURSES_ITEM), "set"))
        await play.nothing_more()
        await play.send(presence(ORCHARD, G, "unavailable"))
        await play.expect(presence(G, ORCHARD, "unavailable"))
        await sign_on_with_caps(play)
        await trio.sleep(60)
        await play.nothing_more()  # the second sign-on: nothing
        legacy.change_contact("Romeo", "Nurse", "Angelica", ("Capulets", "Servants"))
        legacy.remove_contact("Romeo", "Juliet")
        legacy.befriend("Romeo", "Mercutio", ("Friends",), mutual=False)
        await answer(play, asks(items("add", (MERCUTIO, "Mercutio", "Friends")), "set"))
        renamed = items("modify", (NURSE, "Angelica", "Capulets")).replace(
            "</group>", "</group><group>Servants</group>"
        )
        await answer(play, asks(renamed, "set"))
        await answer(play, asks(items("delete", (JULIET, "", "")), "set"))
        await play.nothing_more()
        # What the client does about the deletion removes nothing on the network.
        await play.send(
            presence(ROMEO, JULIET, "unsubscribe"), presence(ROMEO, JULIET, "unsubscribed")
        )
        await play.nothing_more()
    async with curtain() as play:
        await play.expect(presence(G, ROMEO))
        await play.expect(presence(G, ROMEO, "probe"))
        await sign_on_with_caps(play)
        await trio.sleep(60)
        await play.nothing_more()


@pytest.mark.conformance("RIX-03")
async def test_a_long_list_comes_in_parts(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    for number in range(248):
        legacy.create_account(f"guest{number}", "masked")
        legacy.befriend("Romeo", f"guest{number}", mutual=False)
    await grown_up(play, legacy)
    await sign_on_with_caps(play)
    await answer(play, asks(f"<query xmlns='{INFO}' node='*'/>"), info(ROSTERX))
    sizes: list[int] = []
    while sum(sizes) < 250:
        offer = await play.link.next_stanza()
        found = offer.find(f"{{{ROSTERX}}}x")
        assert found is not None
        sizes.append(len(found))
        await trio.sleep(5)  # the client takes its time, and gets no more meanwhile
        play.link.check_nothing_came()
        await play.send(result(id_=str(offer.get("id")), from_=ORCHARD, to=G))
    assert sizes == [100, 100, 50]
    await play.nothing_more()


@pytest.mark.conformance("RIX-02", "RIX-03", "AMB-13")
@pytest.mark.parametrize("silent", [True, False])
async def test_a_client_that_fails_is_not_asked_again(
    autojump_clock: MockClock, play: Stage, legacy: Control, silent: bool
) -> None:
    await grown_up(play, legacy)
    await sign_on_with_caps(play)
    await answer(play, asks(f"<query xmlns='{INFO}' node='*'/>"), info(ROSTERX))
    offer = asks(items("add", JULIETS_ITEM, NURSES_ITEM), "set")
    if silent:
        await play.expect(offer)
    else:
        await answer(play, offer, error(*UNAVAILABLE, text=False), "error")
    legacy.change_contact("Romeo", "Nurse", "Angelica")
    await trio.sleep(300)
    await play.nothing_more()
    # At the next sign-on it may do better.
    await play.send(presence(ORCHARD, G, "unavailable"))
    await play.expect(presence(G, ORCHARD, "unavailable"))
    await sign_on_with_caps(play)
    await answer(play, asks(items("add", JULIETS_ITEM, (NURSE, "Angelica", "")), "set"))
    await play.nothing_more()


@pytest.mark.conformance("GW-ROST-04", "RIX-02")
async def test_what_changes_while_a_client_makes_up_its_mind_is_brought_after(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await grown_up(play, legacy)
    await sign_on_with_caps(play)
    await answer(play, asks(f"<query xmlns='{INFO}' node='*'/>"), info(ROSTERX))
    offered = await play.expect(asks(items("add", JULIETS_ITEM, NURSES_ITEM), "set"))
    legacy.change_contact("Romeo", "Nurse", "Angelica")
    await trio.sleep(1)
    await play.send(result(id_=str(offered.get("id")), from_=ORCHARD, to=G))
    await answer(play, asks(items("modify", (NURSE, "Angelica", "")), "set"))
    await play.nothing_more()


@pytest.mark.conformance("RIX-02", "CORE-05")
async def test_an_answer_counts_only_from_who_was_asked(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await grown_up(play, legacy)
    await sign_on_with_caps(play)
    asked = await play.expect(asks(f"<query xmlns='{INFO}' node='*'/>"))
    for liar in (BALCONY, ROMEO, f"tybalt@{SERVER}/orchard", SERVER):
        await play.send(iq("result", info(ROSTERX), id_=str(asked.get("id")), from_=liar))
    await play.send(iq("result", info(ROSTERX), id_="another"))
    await play.nothing_more()
    await play.send(iq("result", info(), id_=str(asked.get("id"))))
    await trio.sleep(60)
    await play.nothing_more()


@pytest.mark.conformance("RIX-02")
async def test_one_client_of_a_kind_answers_for_all(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await grown_up(play, legacy)
    node = f"{NODE}#{VER}"
    await sign_on_with_caps(play)
    await answer(play, asks(f"<query xmlns='{INFO}' node='{node}'/>"), info(ROSTERX, node=node))
    await answer(play, asks(items("add", JULIETS_ITEM, NURSES_ITEM), "set"))
    await play.send(presence(BALCONY, G, inside=CAPS))
    await play.expect(presence(G, BALCONY))
    legacy.change_contact("Romeo", "Nurse", "Angelica")
    renamed = items("modify", (NURSE, "Angelica", ""))
    await answer(play, asks(renamed, "set"))
    await answer(play, asks(renamed, "set", BALCONY))
    await play.nothing_more()


@pytest.mark.conformance("RIX-02")
async def test_a_hash_that_does_not_fit_speaks_for_nobody_else(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await grown_up(play, legacy)
    await sign_on_with_caps(play)
    lie = f"<query xmlns='{INFO}' node='*'/>"
    await answer(play, asks(lie), info("urn:xmpp:lies"))  # no roster items, and not the hash
    await play.send(presence(BALCONY, G, inside=CAPS))
    await play.expect(presence(G, BALCONY))
    await answer(play, asks(lie, to=BALCONY), info(ROSTERX))
    await answer(play, asks(items("add", JULIETS_ITEM, NURSES_ITEM), "set", BALCONY))
    await play.nothing_more()


@pytest.mark.conformance("RIX-01", "RIX-02", "AMB-13")
async def test_where_nobody_can_say_a_message_offers_the_list_once(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await grown_up(play, legacy)
    await sign_on_with_caps(play, caps="")
    await play.expect(asks(f"<query xmlns='{INFO}'/>"))  # and the client is silent
    await trio.sleep(31)
    offered = items("add", JULIETS_ITEM, NURSES_ITEM)
    await play.expect(f"<message id='*' from='{G}' to='{ROMEO}'>{offered}</message>")
    legacy.change_contact("Romeo", "Nurse", "Angelica")
    renamed = items("modify", (NURSE, "Angelica", ""))
    await trio.sleep(2)  # it is known by now that this client does not answer
    await play.expect(f"<message id='*' from='{G}' to='{ROMEO}'>{renamed}</message>")
    await trio.sleep(60)
    await play.nothing_more()


@pytest.mark.conformance("RIX-02")
async def test_clients_that_do_not_take_lists_are_left_alone(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await grown_up(play, legacy)
    await sign_on_with_caps(play)
    await answer(play, asks(f"<query xmlns='{INFO}' node='*'/>"), info())
    await play.send(presence(BALCONY, G))  # and of this one nobody knows
    await play.expect(presence(G, BALCONY))
    await play.expect(asks(f"<query xmlns='{INFO}'/>", to=BALCONY))
    await trio.sleep(60)
    await play.nothing_more()


# --- contacts that ask to be added ------------------------------------------------------------


@pytest.mark.conformance("GW-ROST-02", "GW-ROST-03", "AMB-13", "LU-ADD-02")
async def test_each_contact_asks_once_and_never_after_a_refusal(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    legacy.set_presence("Juliet", Show.ONLINE)
    legacy.set_presence("Nurse", Show.ONLINE)
    async with curtain(invite_contacts=True) as play:
        await play.register()
        await play.sign_on()
        await play.expect_all(presence(JULIET, ROMEO), presence(NURSE, ROMEO))
        before = trio.current_time()
        await play.expect(presence(JULIET, ROMEO, "subscribe", nick("Juliet Capulet")))
        await play.expect(presence(NURSE, ROMEO, "subscribe", nick("The Nurse")))
        assert trio.current_time() - before >= 1.9  # paced
        await play.send(presence(ROMEO, JULIET, "subscribed"))
        await play.send(presence(ROMEO, JULIET, "subscribe"))
        await play.expect(presence(JULIET, ROMEO, "subscribed"))
        await play.expect(presence(JULIET, ROMEO))
        await play.send(presence(ROMEO, NURSE, "unsubscribed"))
        await play.expect(presence(NURSE, ROMEO, "unavailable"))
        await play.send(presence(ROMEO, NURSE, "unsubscribe"))  # as some clients add
        await play.nothing_more()
        kinds = {one.kind for one in legacy.arrived(account="romeo")}
        assert kinds.isdisjoint({"add", "remove", "deny", "revoke"})  # it was our own question
    async with curtain(invite_contacts=True) as play:
        await play.expect(presence(G, ROMEO))
        await play.expect(presence(G, ROMEO, "probe"))
        await play.sign_on()
        await play.expect(presence(JULIET, ROMEO))
        await trio.sleep(60)
        await play.nothing_more()
        # He may change his mind.
        await play.send(presence(ROMEO, NURSE, "subscribe"))
        await play.expect(presence(NURSE, ROMEO, "subscribed"))
        await play.expect(presence(NURSE, ROMEO))
        await play.nothing_more()


# --- the server's privilege -------------------------------------------------------------------


def granted(version: str, type_: str = "both", *, from_: str = SERVER, to: str = G) -> str:
    return (
        f"<message from='{from_}' to='{to}'><privilege xmlns='{version}'>"
        f"<perm access='roster' type='{type_}'/><perm access='message' type='outgoing'/>"
        "</privilege></message>"
    )


def roster(*items: tuple[str, str]) -> str:
    inside = "".join(f"<item jid='{jid}' subscription='{have}'/>" for jid, have in items)
    return f"<query xmlns='{ROSTER}'>{inside}</query>"


def named(*found: tuple[str, str, str]) -> str:
    """Return a roster whose items have names and groups."""
    inside = ""
    for jid, name, group in found:
        groups = f"<group>{group}</group>" if group else ""
        inside += f"<item jid='{jid}' name='{name}' subscription='both'>{groups}</item>"
    return f"<query xmlns='jabber:iq:roster'>{inside}</query>"


def put(jid: str, name: str, group: str, subscription: str = "both") -> str:
    inside = f"<group>{group}</group>" if group else ""
    named = f" name='{name}'" if name else ""
    return (
        f"<query xmlns='{ROSTER}'><item jid='{jid}'{named} subscription='{subscription}'>"
        f"{inside}</item></query>"
    )


READ = asks(f"<query xmlns='{ROSTER}'/>", "get", ROMEO)


@pytest.mark.conformance("PRIV-01", "PRIV-02", "AMB-13", "GW-ROST-02", "GW-ROST-03")
@pytest.mark.parametrize("version", [PRIVILEGE, PRIVILEGE_OLD])
async def test_the_server_lets_the_gateway_write_the_roster(
    autojump_clock: MockClock, play: Stage, legacy: Control, version: str
) -> None:
    legacy.set_presence("Juliet", Show.ONLINE)
    await play.send(granted(version))
    await grown_up(play, legacy)
    await sign_on_with_caps(play)
    await play.expect(presence(JULIET, ROMEO))
    await answer(play, READ, roster((f"friend@{SERVER}", "both"), (G, "both")))
    await answer(play, asks(put(*JULIETS_ITEM), "set", ROMEO))
    await answer(play, asks(put(*NURSES_ITEM), "set", ROMEO))
    await answer(play, READ, roster((JULIET, "both"), (NURSE, "both")))
    await play.expect(presence(JULIET, ROMEO))  # again: before, nobody looked
    await play.nothing_more()
    legacy.change_contact("Romeo", "Nurse", "Angelica", ("Servants",))
    await answer(play, READ, roster((JULIET, "both"), (NURSE, "to")))
    await answer(play, asks(put(NURSE, "Angelica", "Servants", "to"), "set", ROMEO))
    legacy.remove_contact("Romeo", "Nurse")
    await answer(play, READ, roster((JULIET, "both"), (NURSE, "to")))
    await answer(play, asks(put(NURSE, "", "", "remove"), "set", ROMEO))
    await play.send(presence(ROMEO, NURSE, "unsubscribe"))  # as the server does then
    await play.nothing_more()
    # The server tells what the user does with our contacts, and he is taken at his word.
    pushed = put(JULIET, "", "", "remove")
    await play.send(iq("set", pushed, from_=ROMEO))
    await play.expect(result(to=ROMEO))
    await play.expect(presence(JULIET, ROMEO, "unavailable"))
    await play.nothing_more()
    assert "juliet" not in {one.address.lower() for one in legacy.contacts("Romeo")}


@pytest.mark.conformance("PRIV-02", "AMB-13")
async def test_what_the_roster_has_already_keeps_its_name(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await sign_on_privileged(play, legacy)
    await answer(play, READ, roster((JULIET, "both"), (NURSE, "to")))
    await answer(play, READ, roster((JULIET, "both"), (NURSE, "to")))
    await play.nothing_more()


@pytest.mark.conformance("PRIV-02", "AMB-13")
async def test_a_server_that_gives_no_subscription_has_the_contact_ask(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await sign_on_privileged(play, legacy)
    await answer(play, READ, roster())
    await answer(play, asks(put(*JULIETS_ITEM), "set", ROMEO))
    await answer(play, asks(put(*NURSES_ITEM), "set", ROMEO))
    await answer(play, READ, roster((JULIET, "none"), (NURSE, "both")))
    await play.expect(presence(JULIET, ROMEO, "subscribe", nick("Juliet C.")))
    await play.nothing_more()


@pytest.mark.conformance("PRIV-02", "AMB-13", "GW-ROST-03")
async def test_what_the_user_takes_off_meanwhile_is_not_brought_back(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await sign_on_privileged(play, legacy)
    await answer(play, READ, roster())
    await answer(play, asks(put(*JULIETS_ITEM), "set", ROMEO))
    await answer(play, asks(put(*NURSES_ITEM), "set", ROMEO))
    again = await play.expect(READ)
    await play.send(presence(ROMEO, NURSE, "unsubscribe"))  # he has seen her come, and removes her
    await play.nothing_more()
    inside = roster((JULIET, "both"))
    await play.send(iq("result", inside, id_=str(again.get("id")), from_=ROMEO))
    await trio.sleep(60)
    await play.nothing_more()
    assert "Nurse" not in {one.address for one in legacy.contacts("Romeo")}


@pytest.mark.conformance("PRIV-02", "AMB-13")
@pytest.mark.parametrize("at", ["get", "set"])
async def test_a_server_that_fails_at_it_is_not_asked_again(
    autojump_clock: MockClock, play: Stage, legacy: Control, at: str
) -> None:
    await play.send(granted(PRIVILEGE_OLD))
    await grown_up(play, legacy)
    await sign_on_with_caps(play)
    broken = error("internal-server-error", "cancel", "500", text=False)
    if at == "get":
        await answer(play, READ, broken, "error")
    else:
        await answer(play, READ, roster())
        await answer(play, asks(put(*JULIETS_ITEM), "set", ROMEO), broken, "error")
        await answer(play, asks(put(*NURSES_ITEM), "set", ROMEO), broken, "error")
    await answer(play, asks(f"<query xmlns='{INFO}' node='*'/>"), info(ROSTERX))
    await answer(play, asks(items("add", JULIETS_ITEM, NURSES_ITEM), "set"))
    legacy.change_contact("Romeo", "Nurse", "Angelica")
    await answer(play, asks(items("modify", (NURSE, "Angelica", "")), "set"))
    await play.nothing_more()


@pytest.mark.conformance("PRIV-01", "GW-SEC-05")
@pytest.mark.parametrize(
    "forged",
    [
        granted(PRIVILEGE, from_="elsewhere.lit"),
        granted(PRIVILEGE, from_=f"tybalt@{SERVER}"),
        granted(PRIVILEGE, from_=f"{SERVER}/tybalt"),
        granted(PRIVILEGE, from_=f"tybalt@{SERVER}/street"),
        granted(PRIVILEGE, from_=G),
        granted("urn:xmpp:privilege:9"),
        granted(PRIVILEGE, "get"),
        granted(PRIVILEGE).replace("<message ", "<message type='error' "),
    ],
)
async def test_nobody_else_can_grant_a_privilege(
    autojump_clock: MockClock, play: Stage, legacy: Control, forged: str
) -> None:
    await play.send(forged)
    await play.register()
    await play.sign_on()
    await trio.sleep(60)
    await play.send(iq("set", put(JULIET, "", "", "remove"), from_=ROMEO))
    await play.expect(refused(UNAVAILABLE, to=ROMEO, text=False))
    await play.nothing_more()


@pytest.mark.conformance("PRIV-01")
async def test_a_privilege_dies_with_its_link(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.send(granted(PRIVILEGE))
    await play.nothing_more()
    await play.link.cut()
    play.link = await play.server.connection()
    await play.register()
    await play.sign_on()
    await trio.sleep(60)
    await play.nothing_more()


@pytest.mark.conformance("AMB-08", "GW-UNREG-05", "PRIV-02")
async def test_unregistering_takes_the_contacts_off_the_roster(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await sign_on_privileged(play, legacy)
    await answer(play, READ, roster((JULIET, "both"), (NURSE, "both")))
    await answer(play, READ, roster((JULIET, "both"), (NURSE, "both")))
    await play.nothing_more()
    await play.send(register("<remove/>"))
    await play.expect(result(id_="r1"))
    await answer(play, asks(put(JULIET, "", "", "remove"), "set", ROMEO))
    await play.expect(asks(put(NURSE, "", "", "remove"), "set", ROMEO))
    await trio.sleep(31)  # this one is not answered, so she says it herself
    for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
        await play.expect(presence(NURSE, ROMEO, type_))
    for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
        await play.expect(presence(G, ROMEO, type_))
    await play.nothing_more()


@pytest.mark.conformance("GW-ROST-04", "COMP-05", "RIX-02")
async def test_what_changes_while_the_link_is_down_is_brought_when_it_returns(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await grown_up(play, legacy)
    await sign_on_with_caps(play)
    await answer(play, asks(f"<query xmlns='{INFO}' node='*'/>"), info(ROSTERX))
    await answer(play, asks(items("add", JULIETS_ITEM, NURSES_ITEM), "set"))
    await play.nothing_more()
    play.server.refusing = True
    await play.link.cut()
    await trio.sleep(5)
    legacy.change_contact("Romeo", "Nurse", "Angelica")
    await trio.sleep(40)
    play.server.refusing = False
    await trio.sleep(130)  # until the next try
    play.link = await play.server.connection()
    play.link.answer_disco = False
    came = ""
    with trio.fail_after(60):
        while "Angelica" not in came:
            one = await play.link.next_stanza()
            came = str([inner.attrib for inner in one.iter()])
    assert "'action': 'modify'" in came
