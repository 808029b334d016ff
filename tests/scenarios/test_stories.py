"""Whole stories: somebody with the habits of one client, from registering to leaving for good.

Each client does here what it was seen to do, and leaves out what it was seen to leave out; the
server beside it says what Prosody says.
"""

from xml.etree import ElementTree as ET

import pytest
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Look, Show, TypingState
from tests.fakes.stage import BALCONY, JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.casts import Cast
from tests.scenarios.clients import (
    ACTIVE,
    AVATAR,
    CAPS,
    COMPOSING,
    GONE,
    INFO,
    MARKABLE,
    NO_STORE,
    ORIGIN_ID,
    PAUSED,
    REQUEST,
    asks_back,
    chat,
    gajims_form,
    logs_in,
    removes,
    what_comes,
)
from tests.scenarios.words import (
    MERCUTIO,
    NOT_ACCEPTABLE,
    REGISTER,
    UNAVAILABLE,
    iq,
    login,
    presence,
    refused,
    register,
    result,
    said,
)

ASK_INFO = f"<query xmlns='{INFO}'/>"
ASK_FORM = f"<query xmlns='{REGISTER}'/>"
PING = "<ping xmlns='urn:xmpp:ping'/>"
UUID = "8d0cbf1e-6d4e-4ac1-8b3c-3c2c5a0a6f1b"


def texts(legacy: Control, sender: str = "Romeo") -> list[object]:
    found = legacy.arrived(account=sender, kind="message")
    return [one.fields["text"] for one in found if one.fields["refused"] is None]


def heard(legacy: Control, who: str) -> list[object]:
    """Return the texts a legacy user was told."""
    return [
        getattr(one.event, "text", "") for one in legacy.heard(who) if one.kind == "MessageArrived"
    ]


async def answer(play: Stage, id_: str, *, from_: str = G, to: str = ORCHARD) -> ET.Element:
    """Return the payload of the result that comes next."""
    [found] = await what_comes(play)
    shown = [found.get(name) for name in ("type", "id", "from", "to")]
    assert shown == ["result", id_, from_, to]
    return found[0]


def features(query: ET.Element) -> set[str | None]:
    return {one.get("var") for one in query.findall(f"{{{INFO}}}feature")}


async def ends(play: Stage, jid: str) -> None:
    """Every subscription between Romeo and `jid` ends."""
    for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
        await play.expect(presence(jid, ROMEO, type_))


@pytest.mark.conformance(
    "GW-DISC-01", "GW-REG-01", "GW-REG-05", "GW-REG-06", "GW-ADD-02", "GW-SEND-01", "LU-SEND-01",
    "GW-EDIT-02", "AMB-01", "GW-UNREG-04", "GW-UNREG-07",
)  # fmt: skip
async def test_gajim(autojump_clock: MockClock, play: Stage, legacy: Control, cast: Cast) -> None:
    """It registers by the form, never subscribes to the gateway, and sends all but a body."""
    legacy.set_presence("Juliet", Show.AWAY, "at supper")

    # Discover Services asks again and again, then for the form.
    for number in range(3):
        await play.send(iq("get", ASK_INFO, id_=f"d{number}"))
        about = await answer(play, f"d{number}")
        assert about.find(f"{{{INFO}}}identity[@category='gateway']") is not None
        assert {"jabber:iq:register", "jabber:iq:gateway"} <= features(about)
    await play.send(iq("get", ASK_FORM, id_="f1"))
    query = await answer(play, "f1")
    field = ".//{jabber:x:data}field[@var='FORM_TYPE'][@type='hidden']/{jabber:x:data}value"
    assert query.findtext(field) == REGISTER  # without it Gajim does not show the form
    await play.send(register(gajims_form("Romeo", None), id_="f2"))  # Enter was pressed too soon
    await play.expect(refused(NOT_ACCEPTABLE, id_="f2"))
    await play.send(register(gajims_form("Romeo", "montague"), id_="f3"))
    await play.expect(result(id_="f3"))
    await play.expect(presence(G, ROMEO, "subscribe"))
    await play.send(presence(ROMEO, G, "unavailable"))
    await play.nothing_more()

    # "I would like to add you to my roster": Accept. From now on the gateway sees him.
    await play.send(
        presence(ROMEO, G, "subscribed"), presence(ORCHARD, G, inside=CAPS), presence(ROMEO, G, "")
    )
    await play.expect(presence(G, ROMEO))
    for juliet_is_away in cast.shown("<show>away</show><status>at supper</status>"):
        await play.expect(presence(JULIET, ROMEO, inside=juliet_is_away))
    await play.nothing_more()

    # Add Contact.
    await play.send(iq("get", ASK_INFO, id_="d4", to=MERCUTIO))
    await play.expect(refused(UNAVAILABLE, id_="d4", from_=MERCUTIO, text=False))
    inside = (
        "<status>I would like to add you to my roster.</status>"
        "<nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick>"
    )
    await play.send(presence(ROMEO, MERCUTIO, "subscribe", inside))
    if "consent" not in cast.lacks:
        await play.nothing_more()
        legacy.grant("Mercutio", "Romeo")
    await play.expect(presence(MERCUTIO, ROMEO, "subscribed"))
    await asks_back(play, cast, MERCUTIO)
    legacy.set_presence("Mercutio", Show.CHAT)
    await play.expect(presence(MERCUTIO, ROMEO, inside="<show>chat</show>"))
    await play.send(
        presence(ROMEO, MERCUTIO, "unavailable"),
        presence(ROMEO, MERCUTIO, "subscribed"),
        presence(ORCHARD, MERCUTIO, inside=CAPS),
        presence(ORCHARD, MERCUTIO, "probe"),
    )
    await play.expect(presence(MERCUTIO, ORCHARD, inside="<show>chat</show>"))
    await play.nothing_more()

    # A chat.
    beside = f"{ORIGIN_ID}{REQUEST}{MARKABLE}{ACTIVE}<thread>AxyZ</thread>"
    await play.send(
        chat(f"{COMPOSING}{NO_STORE}<thread>AxyZ</thread>", id_="c1", to=MERCUTIO),
        chat(f"<body>Peace, peace, Mercutio</body>{beside}", id_=UUID, to=MERCUTIO),
    )
    await play.nothing_more()
    legacy.typing("Mercutio", "Romeo", TypingState.COMPOSING)
    await play.expect(f"<message type='chat' from='{MERCUTIO}' to='{ROMEO}'>{COMPOSING}</message>")
    legacy.send_message("Mercutio", "Romeo", "True, I talk of dreams")
    came = await play.expect(said("True, I talk of dreams", from_=MERCUTIO, beside=ACTIVE))
    seen = f"<displayed xmlns='urn:xmpp:chat-markers:0' id='{came.get('id')}'/>"
    await play.send(chat(seen, id_="c2", to=MERCUTIO))
    await play.nothing_more()
    assert texts(legacy) == heard(legacy, "Mercutio") == ["Peace, peace, Mercutio"]

    # The password changes.
    legacy.set_password("Romeo", "capulet")
    await play.send(iq("get", ASK_FORM, id_="f4"))
    query = await answer(play, "f4")
    assert query.find(f"{{{REGISTER}}}registered") is not None
    await play.send(register(gajims_form("romeo", "capulet"), id_="f5"))
    await play.expect(result(id_="f5"))
    await play.expect_all(
        presence(JULIET, ROMEO, "unavailable"), presence(MERCUTIO, ROMEO, "unavailable")
    )
    await play.expect(presence(G, ROMEO))
    await play.expect_all(
        *(presence(JULIET, ROMEO, inside=one) for one in cast.shown(juliet_is_away)),
        presence(MERCUTIO, ROMEO, inside="<show>chat</show>"),
    )
    await play.nothing_more()

    # He unregisters, and takes the gateway off his roster.
    await play.send(register("<remove/>", id_="f6"))
    await play.expect(result(id_="f6"))
    await ends(play, JULIET)
    await ends(play, MERCUTIO)
    await ends(play, G)
    await play.send(*removes(MERCUTIO), *removes(G))
    await play.nothing_more()
    assert not play.gateway.store.accounts(G)
    assert not legacy.connections()


@pytest.mark.conformance(
    "GW-REG-01", "GW-REG-06", "GW-IN-10", "GW-ADD-01", "GW-ADD-02", "CHAT-01", "GW-SEND-06",
    "GW-EDIT-02", "GW-UNREG-04", "CORE-02",
)  # fmt: skip
async def test_converse(
    autojump_clock: MockClock, play: Stage, legacy: Control, cast: Cast
) -> None:
    """It prints its iqs over several lines, subscribes twice, and tells each state of a chat.

    It shows no form of jabber:iq:register, only ad-hoc commands, which come later: until then the
    page around it registers for its user, by the plain fields.
    """
    legacy.set_policy(consent=False)
    info = f"\n  <query xmlns='{INFO}'/>\n"
    await play.send(iq("get", info, id_=f"{UUID}:sendIQ"))
    assert "jabber:iq:register" in features(await answer(play, f"{UUID}:sendIQ"))
    await play.register()

    # He logs in; the roster has the gateway, and the contacts that were added elsewhere.
    come = f"<priority>0</priority>{CAPS}{AVATAR}"
    await play.send(*logs_in(ORCHARD, JULIET, inside=come))
    await play.expect_all(
        presence(G, ORCHARD, "unavailable"),  # to the probes: he is not signed on yet
        presence(JULIET, ORCHARD, "unavailable"),
        presence(G, ROMEO),
    )
    await play.nothing_more()

    # He adds a contact: two subscribes, one of them with all that is in a presence.
    inside = f"<status>Let me see you</status>{come}"
    await play.send(
        presence(ROMEO, MERCUTIO, "subscribe"), presence(ROMEO, MERCUTIO, "subscribe", inside)
    )
    await play.expect(presence(MERCUTIO, ROMEO, "subscribed"))
    await asks_back(play, cast, MERCUTIO)
    await play.send(
        presence(ROMEO, MERCUTIO, "unavailable"),
        presence(ROMEO, MERCUTIO, "subscribed"),
        presence(ORCHARD, MERCUTIO, inside=come),
    )
    await play.nothing_more()
    legacy.sign_on("Mercutio")
    legacy.add_contact("Mercutio", "Romeo")
    await play.expect(presence(MERCUTIO, ROMEO))
    if cast.tells_of_adding:
        await play.expect(f"<message id='*' from='{G}' to='{ROMEO}'><body>*</body></message>")
    legacy.set_presence("Mercutio", Show.DND, "duelling")
    for duelling in cast.shown("<show>dnd</show><status>duelling</status>"):
        await play.expect(presence(MERCUTIO, ROMEO, inside=duelling))
    await play.nothing_more()
    assert len(legacy.arrived(account="Romeo", kind="add")) == 1

    # A chat, with the box for it opened, used, left and closed.
    await play.send(
        chat(ACTIVE + NO_STORE, id_="c1", to=MERCUTIO),
        chat(COMPOSING + NO_STORE, id_="c2", to=MERCUTIO),
        chat(PAUSED + NO_STORE, id_="c3", to=MERCUTIO),
        chat(f"<body>Good morrow</body>{ACTIVE}{REQUEST}{ORIGIN_ID}", id_=UUID, to=MERCUTIO),
    )
    await play.nothing_more()
    legacy.send_message("Mercutio", "Romeo", "Good den")
    await play.expect(said("Good den", from_=MERCUTIO, beside=ACTIVE))
    await play.send(chat(GONE + NO_STORE, id_="c4", to=MERCUTIO))
    await play.nothing_more()
    assert texts(legacy) == heard(legacy, "Mercutio") == ["Good morrow"]
    typed = [one.fields["state"] for one in legacy.arrived(account="Romeo", kind="typing")]
    assert typed[-1] == "idle"

    # The same page in a second tab is another resource.
    await play.send(*logs_in(BALCONY, MERCUTIO, inside=come))
    shown = "<show>dnd</show><status>duelling</status>"
    await play.expect_all(presence(G, BALCONY), presence(MERCUTIO, BALCONY, inside=shown))
    await play.nothing_more(BALCONY)
    await play.send(presence(BALCONY, G, "unavailable"), presence(BALCONY, MERCUTIO, "unavailable"))
    await play.expect_all(
        presence(G, BALCONY, "unavailable"), presence(MERCUTIO, BALCONY, "unavailable")
    )
    await play.nothing_more()

    # The page changes the password for him, and removes the registration.
    legacy.set_password("Romeo", "capulet")
    fields = "\n  <username>romeo</username>\n  <password>capulet</password>\n"
    await play.send(register(fields, id_=f"{UUID}-2:sendIQ"))
    await play.expect(result(id_=f"{UUID}-2:sendIQ"))
    await play.expect(presence(MERCUTIO, ROMEO, "unavailable"))
    await play.expect(presence(G, ROMEO))
    for again in cast.shown(shown):
        await play.expect(presence(MERCUTIO, ROMEO, inside=again))
    await play.nothing_more()
    await play.send(register("\n  <remove/>\n", id_=f"{UUID}-3:sendIQ"))
    await play.expect(result(id_=f"{UUID}-3:sendIQ"))
    await ends(play, MERCUTIO)
    await ends(play, G)
    await play.nothing_more()
    assert not play.gateway.store.accounts(G)
    assert not legacy.connections()


@pytest.mark.conformance(
    "GW-REG-08", "GW-IN-01", "PING-01", "GW-ADD-01", "GW-SEND-01", "GW-SEND-06", "CHAT-01",
    "GW-EDIT-02", "GW-UNREG-05", "GW-OUT-02",
)  # fmt: skip
async def test_profanity(autojump_clock: MockClock, play: Stage, legacy: Control) -> None:
    """It can neither register nor edit; another client does it, while this one is there or not."""
    legacy.set_presence("Juliet", Show.ONLINE)
    await play.register(BALCONY)

    # /connect: the presence, then the roster of before is probed.
    await play.send(*logs_in(ORCHARD, inside=f"<priority>0</priority>{CAPS}"))
    await play.expect_all(
        presence(G, ORCHARD, "unavailable"), presence(G, ROMEO), presence(JULIET, ROMEO)
    )
    # /ping asks first whether that can be done.
    await play.send(iq("get", ASK_INFO, id_="prof_disco_1"))
    assert "urn:xmpp:ping" in features(await answer(play, "prof_disco_1"))
    await play.send(iq("get", PING, id_="prof_ping_2"))
    await play.expect(result(id_="prof_ping_2"))

    # /sub request juliet@..., who is on the list already; /sub allow.
    await play.send(presence(ROMEO, JULIET, "subscribe"))
    await play.expect(presence(JULIET, ROMEO, "subscribed"))
    await play.expect(presence(JULIET, ROMEO))
    await play.send(presence(ROMEO, JULIET, "subscribed"), presence(ORCHARD, JULIET, inside=CAPS))
    await play.nothing_more()
    # /away, /online.
    away = "<show>away</show><status>brb</status>"
    await play.send(presence(ORCHARD, G, inside=away), presence(ORCHARD, JULIET, inside=away))
    await play.nothing_more()
    assert legacy.look("Romeo", seen_by="Juliet") == Look(Show.AWAY, "brb")
    await play.send(presence(ORCHARD, G), presence(ORCHARD, JULIET))
    await play.nothing_more()
    assert legacy.look("Romeo", seen_by="Juliet") == Look(Show.ONLINE)

    # /msg and /close, which says so.
    await play.send(
        chat(COMPOSING, id_="prof_1"),
        chat(f"<body>Art thou there?</body>{ACTIVE}{REQUEST}", id_="prof_2"),
    )
    await play.nothing_more()
    legacy.send_message("Juliet", "Romeo", "Ay")
    await play.expect(said("Ay", beside=ACTIVE))
    await play.send(chat(GONE, id_="prof_3"))
    await play.nothing_more()
    assert texts(legacy) == heard(legacy, "Juliet") == ["Art thou there?"]

    # Elsewhere the password is changed, wrongly at first.
    legacy.set_password("Romeo", "capulet")
    await play.send(register(login("romeo", "capulett"), from_=BALCONY))
    await play.expect(refused(NOT_ACCEPTABLE, id_="r1", to=BALCONY))
    await play.send(register(login("romeo", "capulet"), from_=BALCONY))
    await play.expect(result(id_="r1", to=BALCONY))
    await play.expect(presence(JULIET, ROMEO, "unavailable"))
    await play.expect(presence(G, ROMEO))
    await play.expect(presence(JULIET, ROMEO))
    await play.nothing_more()

    # /quit: to the gateway and to each contact.
    await play.send(presence(ORCHARD, G, "unavailable"), presence(ORCHARD, JULIET, "unavailable"))
    await play.expect(presence(JULIET, ORCHARD, "unavailable"))
    await play.expect(presence(G, ORCHARD, "unavailable"))
    await play.nothing_more()
    # /msg right after /connect of the next day is held until he is signed on.
    come = logs_in(ORCHARD, JULIET, inside=CAPS)
    await play.send(*come, chat(f"<body>Good morrow</body>{ACTIVE}", id_="prof_4"))
    await play.expect_all(
        presence(G, ORCHARD, "unavailable"),
        presence(JULIET, ORCHARD, "unavailable"),
        presence(G, ROMEO),
        presence(JULIET, ROMEO),
    )
    await play.nothing_more()
    assert texts(legacy) == ["Art thou there?", "Good morrow"]

    # Elsewhere the registration is removed, while this client is there.
    await play.send(register("<remove/>", from_=BALCONY))
    await play.expect(result(id_="r1", to=BALCONY))
    await ends(play, JULIET)
    await ends(play, G)
    await play.send(chat(GONE, id_="prof_5"), *removes(JULIET), *removes(G))
    await play.nothing_more()
    assert not play.gateway.store.accounts(G)
    assert not legacy.connections()
