"""Contacts whose names no JID can hold as they are: escaped, or behind an alias that stays."""

import pytest
from trio.testing import MockClock

from gateway.xmpp.jid import nodeprep
from legacy_emu.control import Control
from legacy_emu.events import Show
from tests.fakes.stage import ORCHARD, ROMEO, G, Stage
from tests.scenarios.conftest import Raise
from tests.scenarios.words import iq, message, presence, result, said

ESCAPED = [
    pytest.param("friar@church.lit", "friar\\40church.lit", marks=pytest.mark.needs("names")),
    *(
        pytest.param(name, local, marks=pytest.mark.needs("any names"))
        for name, local in (
            ("O'Malley", "o\\27malley"),
            ('the "prince"', "the\\22prince\\22"),
            ("a&b<c>d", "a\\26b\\3cc\\3ed"),
            ("c:\\5commas", "c\\3a\\5c5commas"),
            ("c:\\\\net", "c\\3a\\\\net"),
            ("\\3and\\2is", "\\5c3and\\2is"),
            ("caf\u00e9", "caf\u00e9"),
            ("\u0416\u0443\u043b\u044c", "\u0436\u0443\u043b\u044c"),
        )
    ),
]
ALIASED = [
    "rose\U0001f339",
    "\u2163\u00bd",
    "\uff21\uff22",
    "\u200bzero",
    "\u05d0a",
    "a\u0301\u0323",
]


def prompt(name: str) -> str:
    return iq("set", f"<query xmlns='jabber:iq:gateway'><prompt>{name}</prompt></query>")


async def both_ways(play: Stage, legacy: Control, name: str, jid: str) -> None:
    """They see each other, and talk."""
    await play.send(presence(ROMEO, jid, "subscribe"))
    await play.expect(presence(jid, ROMEO, "subscribed"))
    await play.expect(presence(jid, ROMEO))
    await play.send(message("Hi", to=jid))
    legacy.send_message(name, "Romeo", "Good morrow")
    await play.expect(said("Good morrow", from_=jid))
    await play.nothing_more()
    [sent] = legacy.arrived(account="Romeo", kind="message")
    assert sent.fields["refused"] is None
    await play.send(presence(ORCHARD, jid, "probe"))
    await play.expect(presence(jid, ORCHARD))
    await play.nothing_more()


@pytest.mark.conformance("ESC-01", "ESC-02", "ESC-04", "ESC-05", "GW-ADDR-04", "AMB-17")
@pytest.mark.parametrize(("name", "local"), ESCAPED)
async def test_an_escaped_name(
    autojump_clock: MockClock, play: Stage, legacy: Control, name: str, local: str
) -> None:
    jid = f"{local}@{G}"
    literal = jid.replace("&", "&amp;")
    legacy.create_account(name, "secret")
    legacy.befriend("Romeo", name)
    legacy.set_presence(name, Show.ONLINE)
    await play.register()
    await play.sign_on()
    await play.expect(presence(literal, ROMEO))
    await both_ways(play, legacy, name, literal)


@pytest.mark.conformance("AMB-17", "GW-ADDR-04", "CORE-08")
@pytest.mark.parametrize("name", ALIASED)
@pytest.mark.needs("any names")
async def test_a_name_that_servers_would_change_has_an_alias_that_survives_a_restart(
    autojump_clock: MockClock, curtain: Raise, legacy: Control, name: str
) -> None:
    legacy.create_account(name, "secret")
    legacy.befriend("Romeo", name)
    legacy.set_presence(name, Show.ONLINE)
    async with curtain() as play:
        await play.register()
        await play.sign_on()
        shown = await play.expect(presence("*", ROMEO))
        jid = str(shown.get("from"))
        local = jid.partition("@")[0]
        assert nodeprep(local) == local
        await both_ways(play, legacy, name, jid)
    async with curtain() as play:
        await play.expect(presence(G, ROMEO))
        await play.expect(presence(G, ROMEO, "probe"))
        await play.send(prompt(name))
        await play.expect(result(f"<query xmlns='jabber:iq:gateway'><jid>{jid}</jid></query>"))
        await play.send(presence(ORCHARD, G), message("Still there?", id_="m2", to=jid))
        await play.expect(presence(G, ROMEO))
        await play.expect(presence(jid, ROMEO))
        await play.nothing_more()
    sent = legacy.arrived(account="Romeo", kind="message")
    assert [one.fields["text"] for one in sent if one.fields["refused"] is None] == [
        "Hi",
        "Still there?",
    ]


@pytest.mark.conformance("AMB-16", "GW-PROMPT-06", "GW-ADDR-04")
@pytest.mark.needs("names")
async def test_however_the_service_spells_a_name_it_is_one_contact(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.create_account("  Peter  of VERONA ", "secret")
    legacy.befriend("Romeo", "PETER of verona")
    legacy.set_presence("peterofverona", Show.ONLINE)
    await play.register()
    await play.sign_on()
    jid = f"peterofverona@{G}"
    await play.expect(presence(jid, ROMEO))
    await both_ways(play, legacy, "Peter of Verona", jid)


@pytest.mark.conformance("AMB-17", "LU-ADD-01", "NICK-01")
@pytest.mark.needs("any names")
async def test_a_stranger_behind_an_alias_asks_and_is_granted(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    name = "rose\U0001f339"
    legacy.create_account(name, "secret", "Rosaline")
    await play.register()
    await play.sign_on()
    legacy.sign_on(name)
    legacy.add_contact(name, "Romeo")
    nick = "<nick xmlns='http://jabber.org/protocol/nick'>Rosaline</nick>"
    asked = await play.expect(presence("*", ROMEO, "subscribe", nick))
    jid = str(asked.get("from"))
    await play.send(presence(ROMEO, jid, "subscribed"))
    await play.nothing_more()
    assert legacy.look("Romeo", seen_by=name).show is Show.ONLINE
