"""Messages, both ways: what arrives, in which form, and what comes back."""

import pytest
import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Show, TypingState
from legacy_emu.faults import Kind
from tests.fakes.stage import BALCONY, JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.casts import Cast
from tests.scenarios.words import (
    BENVOLIO,
    CONSTRAINT,
    FORBIDDEN,
    ITEM_NOT_FOUND,
    MERCUTIO,
    NOT_ACCEPTABLE,
    REGISTRATION_REQUIRED,
    STRANGER,
    TIMEOUT,
    UNAVAILABLE,
    bounced,
    message,
    presence,
    said,
)

CHAT_STATES = "http://jabber.org/protocol/chatstates"
COMPOSING = f"<composing xmlns='{CHAT_STATES}'/>"
DELAYED = f"<delay xmlns='urn:xmpp:delay' from='{G}' stamp='*'/>"


async def signed_on(play: Stage) -> None:
    await play.register()
    await play.sign_on()
    await play.nothing_more()


def texts(legacy: Control, sender: str = "Romeo") -> list[object]:
    """Return what the service has taken of somebody, in order."""
    found = legacy.arrived(account=sender, kind="message")
    return [one.fields["text"] for one in found if one.fields["refused"] is None]


def without_body(inside: str, *, to: str = JULIET) -> str:
    return f"<message type='chat' from='{ORCHARD}' to='{to}'>{inside}</message>"


# --- from the user ----------------------------------------------------------------------------


@pytest.mark.conformance("GW-SEND-01")
@pytest.mark.parametrize(
    ("to", "type_"),
    [
        (JULIET, "chat"),
        (JULIET, "normal"),
        (f"{JULIET}/window", ""),
        (f"ju\\20liet@{G}", "chat"),
    ],
)
async def test_a_message_is_handed_over_and_nothing_comes_back(
    autojump_clock: MockClock, play: Stage, legacy: Control, to: str, type_: str
) -> None:
    await signed_on(play)
    kind = f"type='{type_}'" if type_ else ""
    await play.send(message("Hi", to=to).replace("type='chat'", kind))
    await play.nothing_more()
    [sent] = legacy.arrived(kind="message")
    assert (sent.account, sent.fields["to"]) == ("romeo", "juliet")


@pytest.mark.conformance("GW-SEND-01", "CORE-06")
async def test_text_arrives_byte_for_byte_and_in_order(
    autojump_clock: MockClock, play: Stage, legacy: Control, cast: Cast
) -> None:
    written = [
        "  spaces stay  ",
        "two\nlines\tand a tab",
        "&lt;b&gt;&amp;amp;&lt;/b&gt; ]]&gt;",
        "\u05e9\u05dc\u05d5\u05dd \U0001f339 e\u0301 \ufeff",
        "&#13;",
    ]
    if "carriage returns" in cast.lacks:
        written.pop()
    await signed_on(play)
    await play.send(*[message(text, id_=f"m{at}") for at, text in enumerate(written)])
    await play.nothing_more()
    arrived = [
        "  spaces stay  ",
        "two\nlines\tand a tab",
        "<b>&amp;</b> ]]>",
        "\u05e9\u05dc\u05d5\u05dd \U0001f339 e\u0301 \ufeff",
        "\r",
    ]
    assert texts(legacy) == arrived[: len(written)]


@pytest.mark.conformance("GW-SEND-02", "AMB-19")
@pytest.mark.needs("unknown names")
@pytest.mark.parametrize("nobody", [f"nobody@{G}", f"{'x' * 65}@{G}", f"nobody@{G}/aloft"])
async def test_nobody_of_that_name(
    autojump_clock: MockClock, play: Stage, legacy: Control, nobody: str
) -> None:
    await signed_on(play)
    await play.send(message("Hi", to=nobody))
    await play.expect(bounced(ITEM_NOT_FOUND, "Hi", from_=nobody))
    await play.nothing_more()
    assert texts(legacy) == []


@pytest.mark.conformance("GW-SEND-03", "AMB-19")
@pytest.mark.parametrize("nobody", [BENVOLIO, STRANGER])
async def test_who_is_not_registered_is_told_so(
    autojump_clock: MockClock, play: Stage, legacy: Control, nobody: str
) -> None:
    for contact in (JULIET, f"nobody@{G}"):
        await play.send(message("Hi", from_=nobody, to=contact))
        await play.expect(bounced(REGISTRATION_REQUIRED, "Hi", from_=contact, to=nobody))
    await play.nothing_more(nobody)
    assert not legacy.arrived()


@pytest.mark.conformance("GW-SEND-04", "GW-BIZ-02")
async def test_a_contact_who_is_offline(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    await play.send(message("kept by the service"))
    await play.nothing_more()
    legacy.set_policy(offline_messages=False)
    await play.send(message("kept by nobody", id_="m2"))
    await play.expect(bounced(UNAVAILABLE, "kept by nobody", id_="m2"))
    await play.nothing_more()
    legacy.sign_on("Juliet")
    heard = [one.event for one in legacy.heard("Juliet") if one.kind == "MessageArrived"]
    assert [getattr(one, "text", None) for one in heard] == ["kept by the service"]
    await play.expect(presence(JULIET, ROMEO))
    await play.nothing_more()


@pytest.mark.conformance("GW-SEND-05", "AMB-20", "AMB-31")
async def test_without_a_session_a_message_comes_back_and_signs_nobody_on(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    await play.send(message("too early"))
    await play.expect(bounced(TIMEOUT, "too early"))
    await play.sign_on()
    await play.send(message("in time", id_="m2"), presence(ORCHARD, G, "unavailable"))
    await play.expect(presence(G, ORCHARD, "unavailable"))
    await play.send(message("too late", id_="m3"))
    await play.expect(bounced(TIMEOUT, "too late", id_="m3"))
    await play.nothing_more()
    assert texts(legacy) == ["in time"]


@pytest.mark.conformance("GW-SEND-05", "AMB-31")
async def test_what_is_said_while_being_signed_on_is_held_and_goes_in_order(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    legacy.set_fault(Kind.STALL_ANSWERS)
    await play.send(presence(ORCHARD, G), *[message(f"{n}", id_=f"m{n}") for n in range(5)])
    await trio.sleep(8)
    await play.nothing_more()
    legacy.clear_faults()
    await play.expect(presence(G, ROMEO))
    await play.nothing_more()
    assert texts(legacy) == ["0", "1", "2", "3", "4"]


@pytest.mark.conformance("GW-SEND-05")
async def test_an_answer_that_is_lost_says_that_it_may_have_arrived(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    legacy.set_fault(Kind.LOSE_OUTCOMES, times=2)
    await play.send(message("once"))
    await trio.sleep(59)
    await play.nothing_more()
    told = await play.expect(bounced(TIMEOUT, "once"))
    assert "whether this message arrived" in str(told[1][1].text)
    await play.send(message("twice", id_="m2"))
    await play.nothing_more()
    assert texts(legacy) == ["once", "twice"]


@pytest.mark.conformance("GW-SEND-05", "GW-OUT-06")
async def test_a_connection_lost_before_the_answer(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    legacy.set_fault(Kind.STALL_READING, account="Romeo")
    await play.send(message("lost"))
    await play.nothing_more()
    legacy.clear_faults()
    legacy.cut("Romeo")
    await play.expect(bounced(TIMEOUT, "lost"))
    await play.expect(presence(G, ROMEO))
    await play.nothing_more()
    assert texts(legacy) in ([], ["lost"])  # once at most


@pytest.mark.conformance("GW-SEND-06", "CHAT-01", "AMB-24")
async def test_what_has_no_body_never_comes_back_and_is_no_text(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_policy(offline_messages=False)
    await signed_on(play)
    await play.send(
        without_body(COMPOSING),
        without_body(COMPOSING, to=f"nobody@{G}"),
        without_body(COMPOSING, to=G),
        without_body("<received xmlns='urn:xmpp:receipts' id='a'/>"),
        without_body("<displayed xmlns='urn:xmpp:chat-markers:0' id='a'/>"),
        without_body("<subject>no chat</subject>"),
        message("news").replace("'chat'", "'headline'"),
        message("bounce").replace("'chat'", "'error'"),
    )
    await play.nothing_more()
    assert texts(legacy) == []


@pytest.mark.conformance("GW-SEND-07", "GW-SEND-08")
async def test_what_is_for_no_contact(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    await play.send(message("all of you").replace("'chat'", "'groupchat'"))
    await play.expect(bounced(UNAVAILABLE, "all of you", text=False))
    await play.send(message("anybody there?", id_="m2", to=G))
    await play.expect(bounced(UNAVAILABLE, "anybody there?", id_="m2", from_=G, text=False))
    await play.nothing_more()
    assert texts(legacy) == []


@pytest.mark.conformance("GW-SEND-09", "COMP-07")
@pytest.mark.needs("long texts")
async def test_a_text_that_is_too_long_comes_back_whole(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    legacy.set_policy(max_text_bytes=1_000)
    long = "\u00e9" * 600
    await play.send(message(long), message("short", id_="m2"))
    await play.expect(bounced(NOT_ACCEPTABLE, long))
    await play.nothing_more()
    assert texts(legacy) == ["short"]
    legacy.set_policy(max_text_bytes=120_000)
    await play.send(message("x" * 100_000, id_="m3"))
    await play.nothing_more()
    assert texts(legacy)[1:] == ["x" * 100_000]


@pytest.mark.conformance("GW-SEND-02")
@pytest.mark.needs("told blocks")
async def test_who_is_blocked_and_who_is_too_quick(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    legacy.block("Juliet", "Romeo")
    await play.send(message("hear me"))
    await play.expect(bounced(FORBIDDEN, "hear me"))
    legacy.unblock("Juliet", "Romeo")
    legacy.set_fault(Kind.RATE_LIMIT, per_second=0.01, burst=2)
    await play.send(*[message(f"{n}", id_=f"m{n}") for n in range(3)])
    await play.expect(bounced(CONSTRAINT, "2", id_="m2"))
    await play.nothing_more()
    assert texts(legacy) == ["0", "1"]


# --- from the network -------------------------------------------------------------------------


@pytest.mark.conformance("LU-SEND-01", "LU-SEND-02", "LU-SEND-04", "AMB-12", "DELAY-01")
async def test_what_legacy_users_say_arrives_in_order_and_undated(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    for number in range(20):
        legacy.send_message(("Juliet", "Mercutio")[number % 2], "Romeo", f"{number}")
    ids = set()
    for number in range(20):
        came = await play.expect(said(f"{number}", from_=(JULIET, MERCUTIO)[number % 2]))
        ids.add(came.get("id"))
    assert len(ids) == 20
    await play.nothing_more()
    assert not legacy.kept("Romeo")


@pytest.mark.conformance("DELAY-01", "LU-SEND-03", "AMB-12")
async def test_what_was_said_meanwhile_comes_with_its_date_once(
    autojump_clock: MockClock, play: Stage, legacy: Control, cast: Cast
) -> None:
    await play.register()
    legacy.send_message("Juliet", "Romeo", "at night")
    await trio.sleep(3600)
    legacy.send_message("Mercutio", "Romeo", "in the morning")
    await play.sign_on()
    stamps = []
    for text, sender in (("at night", JULIET), ("in the morning", MERCUTIO)):
        came = await play.expect(said(text, from_=sender, beside=DELAYED))
        stamps.append(str(came[1].get("stamp")))
    wanted = [cast.stamp(f"2031-03-14T{hour}:09:26Z") for hour in (15, 16)]
    assert [stamp[:18] for stamp in stamps] == [stamp[:18] for stamp in wanted]
    assert all(stamp.endswith("Z") for stamp in stamps)
    await play.nothing_more()
    assert not legacy.kept("Romeo")
    await play.send(presence(ORCHARD, G, "unavailable"))
    await play.expect(presence(G, ORCHARD, "unavailable"))
    await play.sign_on()
    await play.nothing_more()


@pytest.mark.conformance("DELAY-01", "COMP-05")
@pytest.mark.parametrize("again", ["sign on", "replay"])
@pytest.mark.needs("redelivery")
async def test_what_the_service_repeats_is_delivered_once(
    autojump_clock: MockClock, play: Stage, legacy: Control, again: str
) -> None:
    await signed_on(play)
    legacy.set_fault(Kind.LOSE_ACKS, account="Romeo")
    legacy.send_message("Juliet", "Romeo", "O Romeo")
    await play.expect(said("O Romeo"))
    await play.nothing_more()
    assert len(legacy.kept("Romeo")) == 1  # the service believes that it was lost
    legacy.clear_faults()
    if again == "replay":
        assert legacy.replay("Romeo") == 1
    else:
        legacy.cut("Romeo")
        await play.expect(presence(G, ROMEO))
    await play.nothing_more()
    assert not legacy.kept("Romeo")


@pytest.mark.conformance("CORE-07", "LU-SEND-01")
async def test_whatever_characters_a_legacy_user_sends_the_link_stays_up(
    autojump_clock: MockClock, play: Stage, legacy: Control, cast: Cast
) -> None:
    await signed_on(play)
    forbidden = "".join(map(chr, range(0x20))) + "\ufffe\uffff\ud800\udfff\x7f"
    legacy.send_message("Juliet", "Romeo", f"a{forbidden}z <&\"'>]]>\U0001f339")
    came = await play.expect(said("*"))
    text = str(came[0].text)
    assert text.startswith("a\ufffd")
    assert "\t\n" in text
    assert text.endswith("z <&\"'>]]>\U0001f339")
    assert not set(text) & set("\x00\x1b\ufffe\uffff")
    legacy.sign_on("Juliet")
    await play.expect(presence(JULIET, ROMEO))
    legacy.set_presence("Juliet", Show.AWAY, "\x00\x1b[31m")
    for inside in cast.shown("<show>away</show><status>*</status>"):
        shown = await play.expect(presence(JULIET, ROMEO, inside=inside))
    assert shown[1].text == "\ufffd\ufffd[31m"
    await play.nothing_more()


@pytest.mark.conformance("COMP-07", "GW-SEND-09")
async def test_a_hundred_kilobytes_arrive_whole(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    text = "".join(chr(0x4E00 + number % 3_000) for number in range(33_000))
    legacy.send_message("Juliet", "Romeo", text)
    came = [await play.link.next_stanza()]
    while len(said_ := "".join(str(one[0].text) for one in came)) < len(text):
        came.append(await play.link.next_stanza())
    assert said_ == text
    assert 1 < len({one.get("id") for one in came}) == len(came)
    await play.nothing_more()
    assert not legacy.kept("Romeo")


@pytest.mark.conformance("CHAT-01", "GW-SEND-06")
async def test_typing(autojump_clock: MockClock, play: Stage, legacy: Control) -> None:
    state = f"<message type='chat' from='{JULIET}' to='{ROMEO}'>{{}}</message>"
    await signed_on(play)
    legacy.typing("Juliet", "Romeo", TypingState.COMPOSING)
    await play.nothing_more()  # his client has not shown that it knows chat states
    await play.send(
        message("Hi").replace("</message>", f"<active xmlns='{CHAT_STATES}'/></message>")
    )
    await play.send(without_body(COMPOSING), without_body(f"<paused xmlns='{CHAT_STATES}'/>"))
    await play.nothing_more()
    typed = legacy.arrived(account="romeo", kind="typing")
    assert [one.fields["state"] for one in typed][-1] == "paused"
    for legacy_state in (TypingState.COMPOSING, TypingState.COMPOSING):
        legacy.typing("Juliet", "Romeo", legacy_state)
    await play.expect(state.format(COMPOSING))
    await play.nothing_more()
    legacy.typing("Juliet", "Romeo", TypingState.PAUSED)
    await play.expect(state.format(f"<paused xmlns='{CHAT_STATES}'/>"))
    legacy.send_message("Juliet", "Romeo", "Ay me")
    await play.expect(said("Ay me", beside=f"<active xmlns='{CHAT_STATES}'/>"))
    await play.nothing_more()


@pytest.mark.conformance("GW-SEC-05", "LU-SEND-01")
async def test_two_users_with_one_contact_hear_what_is_theirs(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.befriend("Mercutio", "Juliet")
    await signed_on(play)
    other = BENVOLIO.partition("/")[0]
    await play.register(BENVOLIO, "mercutio", "queenmab")
    await play.sign_on(BENVOLIO)
    await play.nothing_more(BENVOLIO)
    legacy.send_message("Juliet", "Romeo", "for Romeo")
    await play.expect(said("for Romeo"))
    legacy.send_message("Juliet", "Mercutio", "for Mercutio")
    await play.expect(said("for Mercutio", to=other))
    await play.send(message("from Romeo"), message("from Mercutio", from_=BENVOLIO))
    await play.nothing_more(BENVOLIO)
    assert texts(legacy, "Romeo") == ["from Romeo"]
    assert texts(legacy, "Mercutio") == ["from Mercutio"]


@pytest.mark.conformance("GW-SEC-05", "CARB-02")
async def test_what_the_user_says_with_another_client_is_not_said_in_his_name(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_policy(several_sign_ons=True)
    await signed_on(play)
    legacy.sign_on("Romeo")
    legacy.send_message("Romeo", "Juliet", "from the other client")
    await play.nothing_more()
    legacy.send_message("Juliet", "Romeo", "to both")
    await play.expect(said("to both"))
    await play.nothing_more()


@pytest.mark.conformance("AMB-12")
async def test_a_notice_of_the_service_comes_from_the_gateway(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    legacy.notice("Romeo", "We close at midnight.")
    notice = "<body>We close at midnight.</body>"
    await play.expect(f"<message id='*' from='{G}' to='{ROMEO}'>{notice}</message>")
    await play.nothing_more()


@pytest.mark.conformance("GW-SEND-01", "CORE-02")
@pytest.mark.needs("unknown names")
async def test_an_error_goes_to_the_resource_that_sent_the_message(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play)
    await play.send(presence(BALCONY, G))
    await play.expect(presence(G, BALCONY))
    nobody = f"nobody@{G}/x"
    await play.send(
        message("one", id_="a&amp;b", from_=BALCONY, to=nobody),
        message("two", to=nobody),
        f"<message type='chat' from='{BALCONY}' to='{nobody}'><body>three</body></message>",
    )
    await play.expect(bounced(ITEM_NOT_FOUND, "one", id_="a&amp;b", from_=nobody, to=BALCONY))
    await play.expect(bounced(ITEM_NOT_FOUND, "two", from_=nobody))
    came = await play.link.next_stanza()
    assert came.get("to") == BALCONY
    await play.nothing_more()
