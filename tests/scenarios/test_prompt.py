"""Address prompts: a client asks what to ask for, and has a name made into a JID."""

import pytest
from trio.testing import MockClock

from tests.fakes.stage import JULIET, ORCHARD, G, Stage
from tests.scenarios.words import (
    BENVOLIO,
    NOT_ACCEPTABLE,
    UNAVAILABLE,
    iq,
    refused,
    result,
)

NAMESPACE = "jabber:iq:gateway"


def asked(name: str) -> str:
    return f"<query xmlns='{NAMESPACE}'><prompt>{name}</prompt></query>"


def found(jid: str) -> str:
    return f"<query xmlns='{NAMESPACE}'><jid>{jid}</jid></query>"


@pytest.mark.conformance("GW-PROMPT-01", "GW-PROMPT-05")
@pytest.mark.parametrize("asker", [ORCHARD, BENVOLIO])
@pytest.mark.parametrize("lang", ["", " xml:lang='en'", " xml:lang='de'", " xml:lang='xx'"])
async def test_the_prompt_is_preceded_by_its_description(
    autojump_clock: MockClock, play: Stage, asker: str, lang: str
) -> None:
    ask = iq("get", f"<query xmlns='{NAMESPACE}'/>", from_=asker)
    await play.send(ask.replace("<iq ", f"<iq{lang} ", 1))
    await play.expect(
        result(
            f"<query xmlns='{NAMESPACE}'>"
            "<desc>The screen name of the person you look for; spaces and case are free.</desc>"
            "<prompt>Screen name</prompt></query>",
            to=asker,
        )
    )
    await play.nothing_more(asker)


@pytest.mark.conformance("GW-PROMPT-02", "GW-PROMPT-03", "GW-PROMPT-06", "GW-PROMPT-07", "AMB-16")
@pytest.mark.parametrize(
    ("name", "jid"),
    [
        ("juliet", JULIET),
        (" JULIET ", JULIET),
        ("J u l i e t", JULIET),
        ("Capulet Nurse", f"capuletnurse@{G}"),
        ("friar@church.lit", f"friar\\40church.lit@{G}"),
        ("c:\\5commas", f"c\\3a\\5c5commas@{G}"),
        ("d'artagnan", f"d\\27artagnan@{G}"),
        ("a&amp;b&lt;c", f"a\\26b\\3cc@{G}"),
        ("caf\u00e9", f"caf\u00e9@{G}"),
        (JULIET, JULIET),
        (f"friar\\40church.lit@{G}", f"friar\\40church.lit@{G}"),
    ],
)
async def test_a_name_becomes_one_jid(
    autojump_clock: MockClock, play: Stage, name: str, jid: str
) -> None:
    await play.send(iq("set", asked(name)))
    await play.expect(result(found(jid)))
    await play.nothing_more()


@pytest.mark.conformance("GW-PROMPT-03", "AMB-17", "CORE-08", "GW-ADDR-04")
@pytest.mark.parametrize("name", ["stra\u00dfe", "\ufb01ona", "\u03ba\u03b1\u03bb\u03bf\u03c2"])
async def test_a_name_that_servers_change_gets_a_jid_they_do_not(
    autojump_clock: MockClock, play: Stage, name: str
) -> None:
    jids = set()
    for number in range(2):
        await play.send(iq("set", asked(name), id_=f"i{number}"))
        answer = await play.expect(result(found("*"), id_=f"i{number}"))
        jids.add(answer[0][0].text)
    [jid] = jids
    assert jid is not None
    assert jid.isascii() or jid == f"{name.casefold()}@{G}"
    await play.nothing_more()


@pytest.mark.conformance("GW-PROMPT-04")
@pytest.mark.parametrize(
    "query",
    [
        asked(""),
        asked("  \n "),
        asked("x" * 65),
        asked("two\nlines"),
        f"<query xmlns='{NAMESPACE}'/>",
        f"<query xmlns='{NAMESPACE}'><name>juliet</name></query>",
    ],
)
async def test_what_is_no_name_is_refused(
    autojump_clock: MockClock, play: Stage, query: str
) -> None:
    await play.send(iq("set", query))
    await play.expect(refused(NOT_ACCEPTABLE))
    await play.nothing_more()


@pytest.mark.conformance("GW-PROMPT-01")
async def test_a_contact_is_no_gateway(autojump_clock: MockClock, play: Stage) -> None:
    await play.send(iq("get", f"<query xmlns='{NAMESPACE}'/>", to=JULIET))
    await play.expect(refused(UNAVAILABLE, from_=JULIET, text=False))
    await play.send(iq("set", asked("juliet"), to=JULIET))
    await play.expect(refused(UNAVAILABLE, from_=JULIET, text=False))
    await play.nothing_more()
