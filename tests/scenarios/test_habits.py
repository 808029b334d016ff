"""What clients and servers are in the habit of sending, in the shapes they send it.

Whole stories of single clients stand in `test_stories.py`.
"""

import itertools
from collections import Counter

import pytest
import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Look, Show
from tests.fakes.stage import BALCONY, JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.casts import Cast
from tests.scenarios.clients import (
    ACTIVE,
    AVATAR,
    CAPS,
    CHAT_STATES,
    COMPOSING,
    DELAY,
    GONE,
    INFO,
    MARKABLE,
    NO_STORE,
    ORIGIN_ID,
    PAUSED,
    REQUEST,
    all_that_comes,
    asks_back,
    chat,
    gajims_form,
    logs_in,
    removes,
    what_comes,
)
from tests.scenarios.words import (
    ITEM_NOT_FOUND,
    MERCUTIO,
    NOT_ACCEPTABLE,
    NURSE,
    REGISTER,
    TIMEOUT,
    UNAVAILABLE,
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

UUID = "6f6a3c3f-7d3b-4a3e-8f1c-0c9a6a0b1c2d"


async def signed_on(play: Stage) -> None:
    await play.register()
    await play.sign_on()
    await play.nothing_more()


def sent(legacy: Control) -> list[object]:
    """Return the texts the service has taken of Romeo, in order."""
    found = legacy.arrived(account="Romeo", kind="message")
    return [one.fields["text"] for one in found if one.fields["refused"] is None]


def done(legacy: Control) -> list[tuple[str, object]]:
    """Return the changes of lists that Romeo asked for."""
    kinds = ("add", "remove", "grant", "deny", "revoke", "block", "change")
    found = legacy.arrived(account="Romeo")
    return [(one.kind, one.fields["contact"]) for one in found if one.kind in kinds]


# --- registering ------------------------------------------------------------------------------


@pytest.mark.conformance("REG7-03", "GW-REG-03", "GW-REG-05", "AMB-28")
@pytest.mark.parametrize("typed", [True, False], ids=["typed", "untyped"])
async def test_a_form_that_comes_back_with_all_its_trimmings(
    autojump_clock: MockClock, play: Stage, legacy: Control, typed: bool
) -> None:
    await play.send(register(gajims_form("romeo", "montague", typed=typed)))
    await play.expect(result(id_="r1"))
    await play.expect(presence(G, ROMEO, "subscribe"))
    await play.send(presence(ROMEO, G, "unavailable"))  # as Prosody answers any subscribe
    await play.nothing_more()
    await play.send(presence(ROMEO, G, "subscribed"), presence(ORCHARD, G))
    await play.expect(presence(G, ROMEO))
    await play.nothing_more()
    assert [one.secret for one in play.gateway.store.accounts(G)] == ["montague"]


@pytest.mark.conformance("REG7-01", "REG7-03", "AMB-03", "CORE-10")
@pytest.mark.parametrize("name", ["romeo", None])
@pytest.mark.parametrize("typed", [True, False], ids=["typed", "untyped"])
async def test_a_required_field_that_goes_out_empty(
    autojump_clock: MockClock, play: Stage, name: str | None, typed: bool
) -> None:
    plain = login("romeo", "montague")  # of no account beside a form
    for beside in ("", plain):
        await play.send(register(beside + gajims_form(name, None, typed=typed)))
        told = await play.expect(refused(NOT_ACCEPTABLE, id_="r1"))
        assert "Password" in str(told[0][1].text)
    await play.nothing_more()
    assert not play.gateway.store.accounts(G)


@pytest.mark.conformance("CORE-02", "GW-DISC-01", "GW-REG-03", "GW-PROMPT-03")
async def test_a_payload_over_several_lines_and_an_id_of_any_shape(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    id_ = f"{UUID}:sendIQ"
    await play.send(iq("get", f"\n  <query xmlns='{INFO}'/>\n", id_=id_))
    [found] = await what_comes(play)
    assert (found.get("type"), found.get("id"), found.get("to")) == ("result", id_, ORCHARD)
    query = f"""
      <query xmlns='{REGISTER}'>
        <username>
          romeo
        </username>
        <password>montague</password>
      </query>
    """
    await play.send(iq("set", query, id_=id_))
    await play.expect(result(id_=id_))
    await play.expect(presence(G, ROMEO, "subscribe"))
    prompt = "\n<query xmlns='jabber:iq:gateway'>\n  <prompt>\n Juliet </prompt>\n</query>\n"
    await play.send(iq("set", prompt, id_="a b&amp;&lt;'\"/\u2665".replace("'", "&apos;")))
    found = await play.expect(
        result(f"<query xmlns='jabber:iq:gateway'><jid>{JULIET}</jid></query>", id_="*")
    )
    assert found.get("id") == "a b&<'\"/\u2665"
    remove = f"\n<query xmlns='{REGISTER}'>\n  <remove/>\n</query>\n"
    await play.send(iq("set", remove, id_=id_))
    await play.expect(result(id_=id_))
    for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
        await play.expect(presence(G, ROMEO, type_))
    await play.nothing_more()


@pytest.mark.conformance("CORE-04", "CORE-05")
async def test_answers_of_ours_that_bounce_are_not_answered(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    gone = error("recipient-unavailable", "wait", "404", text=False)
    ask = f"<query xmlns='{INFO}'/>"
    await play.send(iq("get", ask), iq("get", f"<query xmlns='{REGISTER}'/>", id_="r0"))
    answers = await what_comes(play, 2)
    assert [one.get("type") for one in answers] == ["result", "result"]
    await play.send(iq("error", gone), iq("error", ask + gone, id_="r0"))  # ejabberd: all of it
    await play.send(register(login("romeo", "montague")))
    await play.expect(result(id_="r1"))
    await play.expect(presence(G, ROMEO, "subscribe"))
    await play.send(iq("error", gone, id_="r1"))
    await play.nothing_more()
    await play.send(presence(ROMEO, G, "subscribed"), presence(ORCHARD, G))
    await play.expect(presence(G, ROMEO))
    await play.send(iq("error", gone, id_="r1"), iq("error", gone, id_="r1", to=JULIET))
    await play.nothing_more()
    assert len(play.gateway.store.accounts(G)) == 1
    assert legacy.look("Romeo", seen_by="Juliet").show is Show.ONLINE


# --- presence ---------------------------------------------------------------------------------


@pytest.mark.conformance("GW-IN-10", "GW-IN-11", "GW-LIFE-04", "AMB-11", "CORE-09")
async def test_each_login_of_each_resource_probes_every_contact(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    here, away = [f"here{n}" for n in range(20)], [f"away{n}" for n in range(30)]
    for name in here + away:
        legacy.create_account(name, "secret")
        legacy.befriend("Romeo", name)
    for name in here:
        legacy.set_presence(name, Show.CHAT, f"I am {name}")
    contacts = [f"{name}@{G}" for name in here + away]
    since = legacy.last_arrived()
    await play.register()
    for resource in (ORCHARD, BALCONY, ORCHARD):
        await play.send(*logs_in(resource, *contacts))
        told: Counter[tuple[str | None, str | None]] = Counter()
        last: dict[str | None, str | None] = {}
        for found in await all_that_comes(play):
            to, type_ = found.get("to"), found.get("type")
            assert to in (resource, ROMEO if resource == ORCHARD else BALCONY)
            assert type_ in (None, "unavailable")
            told[found.get("from"), to] += 1
            last[found.get("from")] = type_
        assert set(last) == {G, *contacts}
        assert {one for one, type_ in last.items() if type_ is None} == {
            G,
            *(f"{name}@{G}" for name in here),
        }
        assert all(told[contact, resource] >= 1 for contact in contacts)
        assert max(told.values()) <= 2  # it is new, and it asks
        await play.nothing_more(resource)
    kinds = [one.kind for one in legacy.arrived(since, account="Romeo")]
    assert kinds in (["sign_on", "presence"], ["sign_on"])


@pytest.mark.conformance("GW-IN-01", "GW-IN-02", "GW-IN-06", "AMB-10", "AMB-28")
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_presence_that_comes_twice_and_in_any_order_counts_once(
    autojump_clock: MockClock, play: Stage, legacy: Control, order: tuple[int, ...]
) -> None:
    await play.register()
    inside = f"<show>away</show><status>at lunch</status><priority>5</priority>{CAPS}{AVATAR}"
    shown = [presence(ORCHARD, to, inside=inside) for to in (G, JULIET, NURSE)]
    await play.send(*[shown[at] * 2 for at in order])
    await play.expect(presence(G, ROMEO))
    await play.send(*shown, *shown)
    await play.nothing_more()
    assert [one.kind for one in legacy.arrived(account="Romeo")] == ["sign_on", "presence"]
    assert legacy.look("Romeo", seen_by="Juliet") == Look(Show.AWAY, "at lunch")
    await play.send(*[presence(ORCHARD, to, "unavailable") * 2 for to in (JULIET, G, NURSE)])
    await play.expect(presence(G, ORCHARD, "unavailable"))
    await play.nothing_more()


@pytest.mark.conformance("AMB-09", "AMB-28", "LU-ADD-03")
@pytest.mark.needs("per-contact presence")
async def test_what_a_server_says_by_itself_after_a_subscribe_of_ours_is_no_leaving(
    autojump_clock: MockClock, play: Stage, legacy: Control, cast: Cast
) -> None:
    await signed_on(play)
    legacy.sign_on("Mercutio")
    legacy.add_contact("Mercutio", "Romeo")
    await play.expect(presence(MERCUTIO, ROMEO, "subscribe", cast.request_nick("Mercutio")))
    await play.send(presence(ROMEO, MERCUTIO, "unavailable"))  # nobody has answered yet
    await play.nothing_more()
    await play.send(
        presence(ROMEO, MERCUTIO, "subscribed"),
        presence(ORCHARD, MERCUTIO, inside="<show>dnd</show>" + DELAY),
        presence(ROMEO, MERCUTIO, "probe"),
    )
    await play.expect(presence(MERCUTIO, ROMEO, "unsubscribed"))  # Romeo has not asked him
    await play.nothing_more()
    assert legacy.look("Romeo", seen_by="Mercutio").show is Show.DND  # he alone
    assert legacy.look("Romeo", seen_by="Juliet").show is Show.ONLINE  # what the gateway was told
    assert len(legacy.connections()) == 1


@pytest.mark.conformance("AMB-28", "GW-IN-06", "GW-IN-10")
async def test_what_is_stamped_on_presence_changes_nothing(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_presence("Juliet", Show.CHAT)
    await play.register()
    beside = f"{DELAY}{AVATAR}{CAPS}"
    statuses = "<status xml:lang='it'>via</status><status xml:lang='en'>gone</status>"
    come = presence(ORCHARD, G, inside=f"{beside}<show>xa</show>{statuses}")
    await play.send(come.replace("<presence", "<presence xml:lang='en' id='p1'"))
    await play.expect(presence(G, ROMEO))
    await play.expect(presence(JULIET, ROMEO, inside="<show>chat</show>"))
    await play.nothing_more()
    assert legacy.look("Romeo", seen_by="Juliet") == Look(Show.XA, "gone")
    ask = presence(ORCHARD, JULIET, "probe", AVATAR)
    await play.send(ask.replace("<presence", "<presence xml:lang='en' id='p2'"))
    await play.expect(presence(JULIET, ORCHARD, inside="<show>chat</show>"))
    await play.send(presence(ORCHARD, G, "unavailable", DELAY + AVATAR))
    await play.expect(presence(JULIET, ORCHARD, "unavailable"))
    await play.expect(presence(G, ORCHARD, "unavailable"))
    await play.nothing_more()


# --- contacts ---------------------------------------------------------------------------------


@pytest.mark.conformance("GW-ADD-01", "GW-ADD-02", "GW-ADD-06")
@pytest.mark.parametrize("consent", [pytest.param(True, marks=pytest.mark.needs("consent")), False])
@pytest.mark.parametrize("by", [ROMEO, ORCHARD], ids=["bare", "full"])
async def test_one_contact_that_is_subscribed_to_twice_is_added_once(
    autojump_clock: MockClock, play: Stage, legacy: Control, consent: bool, by: str, cast: Cast
) -> None:
    legacy.set_policy(consent=consent)
    await signed_on(play)
    nick = "<nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick>"
    trimmings = f"<status>Let me in</status>{nick}<priority>1</priority>{CAPS}"
    await play.send(presence(by, MERCUTIO, "subscribe"))
    await play.send(presence(by, MERCUTIO, "subscribe", trimmings))
    if consent:
        await play.nothing_more()
        legacy.grant("Mercutio", "Romeo")
    await play.expect(presence(MERCUTIO, ROMEO, "subscribed"))
    await asks_back(play, cast, MERCUTIO)
    await play.nothing_more()
    assert done(legacy) == [("add", "mercutio")]
    await play.send(presence(by, MERCUTIO, "subscribe", trimmings))
    await play.expect(presence(MERCUTIO, ROMEO, "subscribed"))
    await play.nothing_more()
    assert done(legacy) == [("add", "mercutio")]


@pytest.mark.conformance("GW-ADD-01", "LU-ADD-01")
@pytest.mark.needs("consent")
async def test_the_reason_of_a_subscription_is_what_the_contact_is_told(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.sign_on("Mercutio")
    await signed_on(play)
    await play.send(presence(ROMEO, MERCUTIO, "subscribe", f"<status>Let me in</status>{CAPS}"))
    await play.nothing_more()
    [asked] = legacy.arrived(account="Romeo", kind="add")
    assert asked.fields["reason"] == "Let me in"


@pytest.mark.conformance("GW-DEL-01", "GW-DEL-02", "GW-DEL-03", "AMB-28", "AMB-29")
@pytest.mark.parametrize("full", [True, False], ids=["prosody", "ejabberd"])
async def test_a_contact_is_removed_in_the_order_of_a_server(
    autojump_clock: MockClock, play: Stage, legacy: Control, full: bool
) -> None:
    legacy.set_presence("Juliet", Show.ONLINE)
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await play.send(presence(ROMEO, JULIET, "subscribe"), presence(ROMEO, JULIET, "subscribed"))
    await play.expect(presence(JULIET, ROMEO, "subscribed"))
    await play.expect(presence(JULIET, ROMEO))
    await play.nothing_more()
    await play.send(*removes(JULIET, full=full))
    await play.expect(presence(JULIET, ROMEO, "unavailable"))
    await play.nothing_more()
    assert [kind for kind, _ in done(legacy)].count("remove") == 1
    assert legacy.look("Romeo", seen_by="Juliet").show is Show.OFFLINE
    assert legacy.look("Romeo", seen_by="Nurse").show is Show.ONLINE


@pytest.mark.conformance("AMB-15", "AMB-28")
@pytest.mark.parametrize("full", [True, False], ids=["prosody", "ejabberd"])
async def test_the_gateway_is_removed_in_the_order_of_a_server(
    autojump_clock: MockClock, play: Stage, legacy: Control, full: bool
) -> None:
    legacy.set_presence("Juliet", Show.ONLINE)
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await play.send(*removes(G, full=full))
    gone: set[str | None] = set()
    for found in await all_that_comes(play):
        assert (found.get("type"), found.get("to")) in [
            ("unavailable", ROMEO),
            ("unavailable", ORCHARD),
        ]
        gone.add(found.get("from"))
    assert gone == {G, JULIET}
    assert legacy.look("Romeo", seen_by="Juliet").show is Show.OFFLINE
    assert not legacy.connections()
    assert play.gateway.store.accounts(G)


# --- messages ---------------------------------------------------------------------------------


@pytest.mark.conformance("GW-SEND-06", "CHAT-01", "AMB-24")
@pytest.mark.parametrize("with_id", [True, False])
async def test_chat_states_alone_are_typing_and_nothing_else(
    autojump_clock: MockClock, play: Stage, legacy: Control, with_id: bool
) -> None:
    legacy.set_policy(offline_messages=False)
    await signed_on(play)
    for number, inside in enumerate(
        [
            COMPOSING + NO_STORE,
            NO_STORE + PAUSED + ORIGIN_ID,
            f"\n  <active xmlns='{CHAT_STATES}'/>\n  {NO_STORE}\n",
            f"<thread>e0ffe42b</thread>{COMPOSING}<no-permanent-store xmlns='urn:xmpp:hints'/>",
            GONE,
        ]
    ):
        await play.send(chat(inside, id_=f"c{number}" if with_id else ""))
        await play.nothing_more()
    typed = [one.fields["state"] for one in legacy.arrived(account="Romeo", kind="typing")]
    assert typed == ["composing", "paused", "idle", "composing", "idle"]
    assert sent(legacy) == []


@pytest.mark.conformance("GW-SEND-06", "CHAT-01")
async def test_a_lone_farewell_from_who_has_left_is_nothing(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    await play.send(presence(ORCHARD, G, "unavailable"))
    await play.expect(presence(G, ORCHARD, "unavailable"))
    await play.send(chat(GONE), chat(GONE, to=G), chat(GONE, to=f"nobody@{G}"))
    await play.nothing_more()
    await trio.sleep(60)
    assert not legacy.connections()
    assert not legacy.arrived(kind="typing")


@pytest.mark.conformance("GW-SEND-01", "CORE-02")
@pytest.mark.needs("line ends", "unknown names")
async def test_a_body_that_ends_in_a_newline_and_has_no_id(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    await play.send(
        chat("<body>hi\n</body>", type_=""),
        chat("<body>\n</body>"),
        chat("<body>hi\r\n</body>", type_="normal"),
    )
    await play.nothing_more()
    assert sent(legacy) == ["hi\n", "\n", "hi\n"]  # XML turns every line end into that one
    nobody = f"nobody@{G}"
    await play.send(chat("<body>hi\n</body>", to=nobody))
    came = await play.expect(bounced(ITEM_NOT_FOUND, "*", from_=nobody).replace(" id='m1'", ""))
    assert came.get("id") is None
    assert came[0].text == "hi\n"
    await play.nothing_more()


@pytest.mark.conformance("GW-SEND-01", "GW-SEND-02", "GW-SEND-06")
@pytest.mark.needs("unknown names")
async def test_what_clients_put_beside_a_body_is_not_said_and_not_answered(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.sign_on("Juliet")
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    beside = f"{ACTIVE}{REQUEST}{ORIGIN_ID}{MARKABLE}<thread>t1</thread>{NO_STORE}"
    html = (
        "<html xmlns='http://jabber.org/protocol/xhtml-im'>"
        "<body xmlns='http://www.w3.org/1999/xhtml'><p>not this</p></body></html>"
    )
    oob = "<x xmlns='jabber:x:oob'><url>https://example.org/a.png</url></x>"
    await play.send(
        chat(f"{beside}<body>Hi</body>", id_=UUID),
        chat(f"<body>there</body>{beside}{html}{AVATAR}", id_=f"{UUID}-2"),
        chat(f"<body xml:lang='it'>ciao</body><body xml:lang='en'>bye</body>{oob}", id_="m3")
        .replace("<message", "<message xml:lang='en'"),
        chat(f"{html}<body>last</body>{DELAY}", id_="m4"),
    )  # fmt: skip
    await play.nothing_more()
    assert sent(legacy) == ["Hi", "there", "bye", "last"]
    legacy.send_message("Juliet", "Romeo", "I hear")
    await play.expect(said("I hear"))  # the last message of his had no chat state
    nobody = f"nobody@{G}"
    await play.send(chat(f"<body>Hi</body>{beside}", id_=UUID, to=nobody))
    await play.expect(bounced(ITEM_NOT_FOUND, "Hi", id_=UUID, from_=nobody))
    await play.nothing_more()


@pytest.mark.conformance("GW-SEND-06", "AMB-24")
async def test_receipts_and_markers_for_what_was_said_are_heard_in_silence(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    legacy.send_message("Juliet", "Romeo", "O Romeo")
    came = await play.expect(said("O Romeo"))
    id_ = came.get("id")
    await play.send(
        chat(f"<received xmlns='urn:xmpp:receipts' id='{id_}'/>{NO_STORE}", id_="a"),
        chat(f"<displayed xmlns='urn:xmpp:chat-markers:0' id='{id_}'/>", id_="b"),
        chat(f"<displayed xmlns='urn:xmpp:chat-markers:0' id='{id_}'/>", type_="normal"),
        chat("<received xmlns='urn:xmpp:receipts' id='never'/>", type_=""),
    )
    await play.nothing_more()
    assert sent(legacy) == []


@pytest.mark.conformance("GW-SEND-01", "GW-SEND-05", "GW-OUT-03", "CORE-02")
@pytest.mark.parametrize("comes", [True, False], ids=["with presence", "without"])
@pytest.mark.needs("line ends")
async def test_a_program_that_says_a_line_and_leaves(
    autojump_clock: MockClock, play: Stage, legacy: Control, comes: bool
) -> None:
    """As sendxmpp and go-sendxmpp do, beside the client of the same user."""
    program = f"{ROMEO}/sendxmpp.4711"
    await signed_on(play)
    if comes:
        await play.send(presence(program, G, inside="<priority>-1</priority>"))
        await play.expect(presence(G, program))
    await play.send(chat("<body>hi\n</body>", from_=program), presence(program, G, "unavailable"))
    if comes:
        await play.expect(presence(G, program, "unavailable"))
    await play.nothing_more()
    assert sent(legacy) == ["hi\n"]
    await play.send(presence(ORCHARD, G, "unavailable"))
    await play.expect(presence(G, ORCHARD, "unavailable"))
    await play.send(chat("<body>hi\n</body>", from_=program))  # and now nobody is signed on
    came = await play.expect(bounced(TIMEOUT, "*", to=program).replace(" id='m1'", ""))
    assert (came.get("id"), came[0].text) == (None, "hi\n")
    await play.nothing_more()
    assert sent(legacy) == ["hi\n"]


@pytest.mark.conformance("GW-SEND-01", "GW-DEL-01")
@pytest.mark.needs("unknown names")
async def test_errors_for_contacts_that_are_none_keep_the_address_that_was_used(
    autojump_clock: MockClock, play: Stage
) -> None:
    await signed_on(play)
    there = f"nobody@{G}/Home"
    await play.send(message("Hi", to=there), iq("get", f"<query xmlns='{INFO}'/>", to=there))
    await play.expect_all(
        bounced(ITEM_NOT_FOUND, "Hi", from_=there), refused(UNAVAILABLE, from_=there, text=False)
    )
    await play.nothing_more()
