"""Bad input: forms, offers, answers and addresses nobody should send, and text that breaks XML.

Nothing of it ends the link, a session or anybody's registration.
"""

import json

import pytest
import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Refusal, Show
from legacy_emu.faults import Kind
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, SERVER, G, Stage
from tests.scenarios.casts import Cast
from tests.scenarios.clients import INFO, all_that_comes, asks_back, chat, what_comes
from tests.scenarios.words import (
    BAD_REQUEST,
    BENVOLIO,
    CONSTRAINT,
    MERCUTIO,
    NOT_ACCEPTABLE,
    NOT_AUTHORIZED,
    REGISTER,
    STANZAS,
    STRANGER,
    UNAVAILABLE,
    bounced,
    error,
    form,
    iq,
    login,
    message,
    presence,
    refused,
    register,
    said,
)

BREAKING = "a\x00\x08\x1b\ufffe\uffff\ud800z ]]><!--&'\"</body>"
BROKEN = "a\ufffd\ufffd\ufffd\ufffd\ufffd\ufffdz ]]><!--&'\"</body>"
BROKEN_NAME = "a \ufffd\ufffd\ufffdz ]]><!--&'\"</body>"  # one line for a roster
NOTICE = f"<message id='*' from='{G}' to='{ROMEO}'><body>*</body></message>"


async def signed_on(play: Stage) -> None:
    await play.register()
    await play.sign_on()
    await play.nothing_more()


def sent(legacy: Control) -> list[object]:
    """Return the texts the service has taken of Romeo, in order."""
    found = legacy.arrived(account="Romeo", kind="message")
    return [one.fields["text"] for one in found if one.fields["refused"] is None]


def done(legacy: Control) -> list[str]:
    """Return the changes of lists that Romeo asked for."""
    kinds = ("add", "remove", "grant", "deny", "revoke", "block", "change")
    return [one.kind for one in legacy.arrived(account="Romeo") if one.kind in kinds]


async def all_is_well(play: Stage, legacy: Control) -> None:
    """Romeo is still signed on, by the same session, and heard and hears."""
    before = len(sent(legacy))
    await play.send(message("All well?", id_="well"))
    await play.nothing_more()
    assert sent(legacy)[before:] == ["All well?"]
    legacy.send_message("Juliet", "Romeo", "All is well")
    await play.expect(said("All is well"))
    await play.nothing_more()
    assert len(legacy.arrived(account="Romeo", kind="sign_on")) == 1


# --- what users and servers send --------------------------------------------------------------


@pytest.mark.conformance("REG7-03", "CORE-10", "AMB-02")
@pytest.mark.parametrize(
    ("filled_in", "fault"),
    [
        (form(("username", "mercutio"), ("password", "queenmab"), type_="result"), BAD_REQUEST),
        (form(("username", "mercutio"), ("password", "queenmab"), type_="SUBMIT"), BAD_REQUEST),
        (form(("username", "mercutio"), ("password", "queenmab"), type_=""), BAD_REQUEST),
        (form(("username", "mercutio")).replace(" type='submit'", ""), BAD_REQUEST),
        (form(("FORM_TYPE", ""), ("username", "romeo")), BAD_REQUEST),
        (form(("FORM_TYPE", "jabber:iq:register:forged"), ("username", "romeo")), BAD_REQUEST),
        (form(("username", "mercutio")).replace("x:data", "x:oob"), NOT_ACCEPTABLE),
        ("<x xmlns='jabber:x:data' type='submit'/>", NOT_ACCEPTABLE),
        ("<x xmlns='jabber:x:data' type='submit'><field/><field var=''/></x>", NOT_ACCEPTABLE),
        ("<username><username>romeo</username></username>", NOT_ACCEPTABLE),
        ("<remove/><remove/>", BAD_REQUEST),
        ("<remove/>" + form(("username", "romeo")), BAD_REQUEST),
    ],
)
async def test_a_form_of_the_wrong_kind_changes_nothing(
    autojump_clock: MockClock,
    play: Stage,
    legacy: Control,
    filled_in: str,
    fault: tuple[str, str, str],
) -> None:
    await play.send(register(filled_in, from_=BENVOLIO))
    [told] = await what_comes(play)
    assert (told.get("type"), told.get("to"), told[0][0].tag) == (
        "error",
        BENVOLIO,
        f"{{{STANZAS}}}{fault[0]}",
    )
    await signed_on(play)
    await play.send(register(filled_in))
    [told] = await what_comes(play)
    assert (told.get("type"), told[0][0].tag) == ("error", f"{{{STANZAS}}}{fault[0]}")
    assert len(told) == 1  # and not what was sent, which may hold a password
    await all_is_well(play, legacy)
    assert play.accounts() == [("romeo", "montague")]


@pytest.mark.conformance("GW-ADD-02", "CORE-04")
@pytest.mark.parametrize(
    "forger",
    ["evil.lit", f"somebody@{SERVER}", ORCHARD, ROMEO, f"{SERVER}/resource", f"a.{SERVER}"],
)
async def test_a_privilege_that_nobody_may_offer_is_no_privilege(
    autojump_clock: MockClock, play: Stage, legacy: Control, forger: str, cast: Cast
) -> None:
    for version in (1, 2):
        offer = (
            f"<message from='{forger}' to='{G}' id='p{version}'>"
            f"<privilege xmlns='urn:xmpp:privilege:{version}'>"
            "<perm access='roster' type='both'/><perm access='message' type='outgoing'/>"
            "<perm access='presence' type='roster'/></privilege></message>"
        )
        await play.send(offer)
    await play.nothing_more()
    legacy.set_presence("Juliet", Show.ONLINE)
    legacy.set_policy(consent=False)
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await play.nothing_more()  # no look into his roster, and nothing put there
    await play.send(presence(ROMEO, MERCUTIO, "subscribe"))
    await play.expect(presence(MERCUTIO, ROMEO, "subscribed"))
    await asks_back(play, cast, MERCUTIO)
    await play.nothing_more()


@pytest.mark.conformance("CORE-04", "CORE-05", "AMB-24", "GW-SEND-06")
async def test_answers_that_nobody_waits_for_are_dropped(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    fault = error(*UNAVAILABLE)
    query = f"<query xmlns='{REGISTER}'><remove/></query>"
    for from_ in (ROMEO, ORCHARD, BENVOLIO, STRANGER, SERVER, "evil.lit"):
        for to in (G, f"{G}/x", JULIET, MERCUTIO):
            await play.send(
                iq("result", "", from_=from_, to=to),
                iq("result", query, id_="reg", from_=from_, to=to),
                iq("result", query + query, from_=from_, to=to),
                iq("error", query + fault, id_="reg", from_=from_, to=to),
                iq("error", "", from_=from_, to=to),
                chat(f"<body>Hi</body>{fault}", id_="m1", from_=from_, to=to, type_="error"),
                chat(fault, from_=from_, to=to, type_="error"),
                chat("<body>All of this is wrong</body>", from_=from_, to=to, type_="error"),
            )
        await play.nothing_more()
    assert sent(legacy) == []
    await all_is_well(play, legacy)


@pytest.mark.conformance("CORE-04", "AMB-24", "GW-SEND-02")
async def test_errors_do_not_answer_errors(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    """Whoever gives back what we gave back is not answered again."""
    await signed_on(play)
    nobody = f"nobody@{G}"
    await play.send(message("Hi", to=nobody))
    [told] = await what_comes(play)
    assert told.get("type") == "error"
    for again in (ORCHARD, ROMEO):
        text = f"<body>Hi</body>{error('item-not-found', 'cancel', '404')}"
        await play.send(chat(text, id_="m1", from_=again, to=nobody, type_="error"))
    legacy.send_message("Juliet", "Romeo", "O Romeo")
    came = await play.expect(said("O Romeo"))
    lost = f"<body>O Romeo</body>{error(*UNAVAILABLE)}"
    await play.send(chat(lost, id_=str(came.get("id")), type_="error"))
    await all_is_well(play, legacy)


@pytest.mark.conformance("GW-ADD-03", "LU-ADD-02", "GW-DEL-01", "CORE-10")
async def test_what_nobody_asked_for_is_granted_and_refused_in_vain(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_presence("Juliet", Show.ONLINE)
    legacy.sign_on("Mercutio")
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    for to in (MERCUTIO, f"nobody@{G}", f"{'x' * 65}@{G}"):
        await play.send(presence(ROMEO, to, "unsubscribed"), presence(ORCHARD, to, "unsubscribed"))
    for to in (G, MERCUTIO, f"nobody@{G}", f"{'x' * 65}@{G}", JULIET):
        await play.send(presence(ROMEO, to, "subscribed"), presence(ORCHARD, to, "subscribed"))
    await play.nothing_more()
    assert {one.address for one in legacy.contacts("Romeo")} == {"Juliet", "Nurse"}
    assert legacy.look("Romeo", seen_by="Mercutio").show is Show.OFFLINE
    assert legacy.look("Romeo", seen_by="Juliet").show is Show.ONLINE
    assert not {"deny", "revoke", "add", "remove"} & set(done(legacy))
    await all_is_well(play, legacy)


@pytest.mark.conformance("GW-SEND-01", "GW-SEND-06", "GW-SEND-07", "AMB-24")
@pytest.mark.parametrize(
    ("type_", "becomes"),
    [
        ("groupchat", "error"),
        ("headline", "nothing"),
        ("error", "nothing"),
        ("carrier-pigeon", "message"),  # RFC 6121: as if it had none
        ("CHAT", "message"),
    ],
)
async def test_a_message_of_whatever_type(
    autojump_clock: MockClock, play: Stage, legacy: Control, type_: str, becomes: str
) -> None:
    await signed_on(play)
    await play.send(chat("<body>Hi</body>", id_="m1", type_=type_))
    if becomes == "error":
        await play.expect(bounced(UNAVAILABLE, "Hi", text=False))
    await play.nothing_more()
    assert sent(legacy) == (["Hi"] if becomes == "message" else [])
    await play.send(chat("<body>Hi</body>", id_="m2", type_=type_, to=G))
    if becomes != "nothing":
        await play.expect(bounced(UNAVAILABLE, "Hi", id_="m2", from_=G, text=False))
    await all_is_well(play, legacy)


@pytest.mark.conformance("CORE-02", "CORE-08", "GW-SEND-01", "GW-ADD-06", "GW-IN-11", "AMB-16")
@pytest.mark.parametrize(
    "spelled", [f"JULIET@{G.upper()}", f"Juliet@{G}/Home", f"juliet@{G.title()}/\u2665 desk"]
)
@pytest.mark.needs("names")
async def test_a_contact_in_any_case_and_with_any_resource_is_one_contact(
    autojump_clock: MockClock, play: Stage, legacy: Control, spelled: str
) -> None:
    legacy.set_presence("Juliet", Show.DND)
    own = "Romeo@Shakespeare.LIT/orchard"  # as no server sends it
    await play.register()
    await play.send(presence(own, spelled))
    await play.expect(presence(G, ROMEO))
    await play.expect(presence(JULIET, ROMEO, inside="<show>dnd</show>"))
    await play.send(message("Hi", from_=own, to=spelled), presence(own, spelled, "probe"))
    await play.expect(presence(JULIET, ORCHARD, inside="<show>dnd</show>"))
    await play.send(presence(own, spelled, "subscribe"))
    await play.expect(presence(JULIET, ROMEO, "subscribed"))
    await play.expect(presence(JULIET, ROMEO, inside="<show>dnd</show>"))
    await play.send(iq("get", f"<query xmlns='{INFO}'/>", to=spelled))
    [told] = await what_comes(play)
    assert (told.get("type"), told.get("to")) == ("result", ORCHARD)
    resource = spelled.partition("/")[2]
    assert told.get("from") == (f"{JULIET}/{resource}" if resource else JULIET)
    await play.send(presence(own, spelled, "unsubscribe"))
    await play.expect(presence(JULIET, ROMEO, "unavailable"))
    await play.send(presence(own, spelled, "unavailable"))  # to the only one he had come to
    await play.expect(presence(G, ORCHARD, "unavailable"))
    await play.nothing_more()
    assert sent(legacy) == ["Hi"]
    assert done(legacy) == ["remove"]


@pytest.mark.conformance("CORE-03", "CORE-08")
@pytest.mark.needs("names")
async def test_addresses_that_are_none_are_answered_and_forgotten(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    for bad in (f"a b@{G}", f"@{G}", f"{G}/", f"x&gt;y@{G}", f"{'x' * 1024}@{G}"):
        await play.send(
            message("Hi", to=bad),
            iq("get", f"<query xmlns='{INFO}'/>", to=bad),
            presence(ROMEO, bad, "subscribe"),
            iq("result", "", to=bad),
        )
        found = await what_comes(play, 3)
        assert [one.get("type") for one in found] == ["error"] * 3
        assert all(one.find(f".//{{{STANZAS}}}jid-malformed") is not None for one in found)
    await play.send(
        iq("get", f"<query xmlns='{INFO}'/>", id_="").replace(" id=''", ""),
        iq("fetch", f"<query xmlns='{INFO}'/>"),
        presence(ORCHARD, G, "perhaps"),
        message("Hi", to="juliet@somewhere.else.lit"),
        "<letter/>",
    )
    found = await what_comes(play, 3)
    assert [one.get("type") for one in found] == ["error"] * 3
    assert all(one.find(f".//{{{STANZAS}}}bad-request") is not None for one in found)
    await all_is_well(play, legacy)


# --- what the network sends -------------------------------------------------------------------


def raw(kind: str, **fields: object) -> str:
    """Return a frame of the service's, with half surrogate pairs as JSON spells them."""
    return json.dumps({"type": kind, **fields})


def contact(address: str, name: str, group: str) -> dict[str, object]:
    strands = {"sees": True, "seen_by": True, "asked": False, "asking": False, "blocked": False}
    return {"address": address, "name": name, "groups": [group], **strands}


@pytest.mark.conformance("CORE-07", "GW-IN-04", "LU-SEND-01", "LU-ADD-01", "AMB-12")
@pytest.mark.needs("frames")
async def test_text_that_would_break_the_stream_breaks_nothing_in_any_field(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.sign_on("Juliet")
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    bad = BREAKING

    legacy.say_raw(raw("message", id=bad, conversation="juliet", sender="juliet", text=bad,
                       sent_at=None, outgoing=False, replaces=None), "Romeo")  # fmt: skip
    assert (await play.expect(said("*")))[0].text == BROKEN
    legacy.set_presence("Juliet", Show.AWAY, bad)
    shown = await play.expect(presence(JULIET, ROMEO, inside="<show>away</show><status>*</status>"))
    assert shown[1].text == BROKEN
    legacy.set_presence("Juliet", Show.AWAY, "")
    await play.expect(presence(JULIET, ROMEO, inside="<show>away</show>"))
    request = {"address": "mercutio", "name": bad, "reason": bad, "sent_at": None}
    legacy.say_raw(raw("contact_request", id="r1", **request), "Romeo")
    [asked] = await what_comes(play)
    assert (asked.get("type"), asked.get("from")) == ("subscribe", MERCUTIO)
    assert [child.text for child in asked] == [BROKEN, BROKEN_NAME]
    legacy.say_raw(raw("notice", text=bad), "Romeo")
    assert (await play.expect(NOTICE))[0].text == BROKEN
    legacy.say_raw(raw("contact_changed", contact=contact("juliet", bad, bad)), "Romeo")
    legacy.say_raw(raw("contact_changed", contact=contact("tybalt", bad, bad)), "Romeo")
    legacy.say_raw(raw("done", ref=bad, result=bad, profiles=[]), "Romeo")
    legacy.say_raw(raw("failed", ref=bad, reason=bad, text=bad), "Romeo")
    legacy.say_raw(raw("outcome", ref=bad, stage="failed", id=bad, reason=bad, text=bad), "Romeo")
    legacy.say_raw(raw(bad, text=bad), "Romeo")
    await play.nothing_more()
    legacy.set_fault(Kind.RATE_LIMIT, per_second=0.01, burst=1, text=bad)
    await play.send(message("one", id_="m1"), message("two", id_="m2"))
    told = await play.expect(bounced(CONSTRAINT, "two", id_="m2"))
    assert told[1][1].text == BROKEN
    legacy.clear_faults()
    await all_is_well(play, legacy)


@pytest.mark.conformance("CORE-07", "CORE-11", "GW-IN-07", "GW-REG-07", "NOTE-01")
@pytest.mark.needs("exact refusals")
async def test_text_that_would_break_the_stream_in_refusals(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_fault(Kind.REFUSE, reason=Refusal.WRONG_CREDENTIALS, text=BREAKING, times=1)
    await play.send(register(login("romeo", "montague")))
    await play.expect(refused(NOT_ACCEPTABLE, id_="r1"))
    await play.register()
    legacy.set_fault(Kind.REFUSE, reason=Refusal.WRONG_CREDENTIALS, text=BREAKING, times=1)
    await play.send(presence(ORCHARD, G))
    for _ in range(2):
        for found in await all_that_comes(play):
            if found.get("type") == "error":
                assert found.find(f".//{{{STANZAS}}}{NOT_AUTHORIZED[0]}") is not None
            elif found.tag.endswith("message"):
                assert BROKEN in str(found[0].text)
        await play.send(presence(ORCHARD, G, "unavailable"))
        await all_that_comes(play)
        await play.send(presence(ORCHARD, G))
        await play.expect(presence(G, ROMEO))
        legacy.kick("Romeo", Refusal.WRONG_CREDENTIALS, BREAKING)
    told = await all_that_comes(play)
    assert any(BROKEN in str(one[0].text) for one in told if one.tag.endswith("message"))
    await play.nothing_more()


@pytest.mark.conformance("GW-OUT-06", "CORE-07")
@pytest.mark.parametrize(
    "frame",
    [
        raw("presence", address="a\x00b", show="online", text="", idle_since=None),
        raw("presence", address="\ud800", show="online", text="", idle_since=None),
        raw("presence", address="", show="online", text="", idle_since=None),
        raw("presence", address="x" * 65, show="online", text="", idle_since=None),
        raw("presence", address="juliet", show="\x00", text="", idle_since=None),
        raw("contact_changed", contact=contact("a\nb", "", "")),
        raw("contact_removed", address="\x1b"),
        raw("typing", conversation="\x00", sender="\x00", state="composing"),
        raw("message", id="x" * 201, conversation="juliet", sender="juliet", text="",
            sent_at=None, outgoing=False, replaces=None),
        raw("message", id="1", conversation="juliet", sender="\x00", text="",
            sent_at=None, outgoing=False, replaces=None),
        "\x00", "[]", "{}", '{"type": "message"}', '{"type": "presence", "address": 1}',
        "[" * 100_000, '{"type": "notice", "text": NaN}', "x" * 300_000,
    ],
)  # fmt: skip
async def test_a_frame_that_cannot_be_costs_a_connection_at_most(
    autojump_clock: MockClock, play: Stage, legacy: Control, frame: str
) -> None:
    legacy.sign_on("Juliet")
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    legacy.say_raw(frame, "Romeo")
    await trio.sleep(10)
    last: dict[str | None, str | None] = {}
    for found in await all_that_comes(play):
        assert found.tag.endswith("presence")
        last[found.get("from")] = found.get("type")
    assert set(last.values()) <= {None}
    assert len(legacy.arrived(account="Romeo", kind="sign_on")) <= 2
    legacy.send_message("Juliet", "Romeo", "All is well")
    await play.expect(said("All is well"))
    await play.nothing_more()


# --- too much of it ---------------------------------------------------------------------------


@pytest.mark.conformance("COMP-07", "GW-IN-04", "LU-ADD-01", "LU-SEND-01", "AMB-12", "GW-SEND-09")
@pytest.mark.needs("frames")
async def test_whatever_is_too_long_from_the_network_is_cut_or_split_and_shown(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.sign_on("Juliet")
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    long = "\u2665" * 80_000  # three bytes each: a frame full
    legacy.say_raw(
        raw("presence", address="juliet", show="xa", text="<" * 250_000, idle_since=None), "Romeo"
    )
    shown = await play.expect(presence(JULIET, ROMEO, inside="<show>xa</show><status>*</status>"))
    assert len(str(shown[1].text)) == 2_000
    request = {"address": "mercutio", "name": "n" * 120_000, "reason": "'" * 120_000}
    legacy.say_raw(raw("contact_request", id="r1", sent_at=None, **request), "Romeo")
    [asked] = await what_comes(play)
    assert [len(str(child.text)) for child in asked] == [2_000, 200]
    legacy.say_raw(json.dumps({"type": "notice", "text": long}, ensure_ascii=False), "Romeo")
    assert len(str((await play.expect(NOTICE))[0].text)) == 2_000
    huge = {"id": "m1", "conversation": "juliet", "sender": "juliet", "text": long}
    rest = {"sent_at": None, "outgoing": False, "replaces": None}
    legacy.say_raw(json.dumps({"type": "message", **huge, **rest}, ensure_ascii=False), "Romeo")
    pieces = await what_comes(play, 3)
    assert "".join(str(one[0].text) for one in pieces) == long
    names = contact("tybalt", "n" * 100_000, "g" * 100_000)
    legacy.say_raw(raw("contact_changed", contact=names), "Romeo")
    await play.nothing_more()
    legacy.set_fault(Kind.RATE_LIMIT, per_second=0.01, burst=1, text="t" * 200_000)
    await play.send(message("one", id_="m1"), message("two", id_="m2"))
    told = await play.expect(bounced(CONSTRAINT, "two", id_="m2"))
    assert len(str(told[1][1].text)) == 2_000
    legacy.clear_faults()
    await all_is_well(play, legacy)


@pytest.mark.conformance(
    "COMP-07", "CORE-03", "GW-SEND-09", "GW-IN-06", "GW-ADD-01", "GW-PROMPT-04"
)
async def test_whatever_is_too_long_from_the_user_is_answered_or_cut(
    autojump_clock: MockClock, play: Stage, legacy: Control, cast: Cast
) -> None:
    legacy.sign_on("Juliet")
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await play.send(message("x" * 200_000))  # longer than the service takes
    await play.expect(bounced(NOT_ACCEPTABLE, "x" * 200_000))
    await play.send(message("&lt;" * 150_000, id_="m2"))  # and to bring it back, than a server does
    [told] = await what_comes(play)
    assert (told.get("type"), told.get("id")) == ("error", "m2")
    assert sent(legacy) == []
    status = "<status>" + "s" * 100_000 + "</status>"
    await play.send(presence(ORCHARD, G, inside=f"<show>dnd</show>{status}"))
    await play.nothing_more()
    assert legacy.look("Romeo", seen_by="Juliet").show is Show.DND
    await play.send(presence(ROMEO, MERCUTIO, "subscribe", status))
    if "consent" in cast.lacks:
        await play.expect(presence(MERCUTIO, ROMEO, "subscribed"))
    await play.nothing_more()
    assert done(legacy) == ["add"]
    long = "<prompt>" + "x" * 200_000 + "</prompt>"
    await play.send(iq("set", f"<query xmlns='jabber:iq:gateway'>{long}</query>"))
    await play.expect(refused(NOT_ACCEPTABLE))
    await play.send(register(login("x" * 100_000, "y" * 100_000), from_=BENVOLIO))
    await play.expect(refused(NOT_ACCEPTABLE, id_="r1", to=BENVOLIO))
    await play.send(register(login("mercutio", "y" * 300_000), from_=BENVOLIO))
    await play.expect(refused(NOT_ACCEPTABLE, id_="r1", to=BENVOLIO))
    id_ = "i" * 1_024
    await play.send(iq("get", f"<query xmlns='{INFO}' node='{'n' * 200_000}'/>", id_=id_))
    [told] = await what_comes(play)
    assert (told.get("type"), told.get("id")) == ("error", id_)
    await all_is_well(play, legacy)
