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


@pytest.mark.conformance("GW-PROMPT-01")
async def test_the_prompt_is_preceded_by_its_description(
    autojump_clock: MockClock, play: Stage
) -> None:
    ask = f"<query xmlns='{NAMESPACE}'/>"
    for asker in (ORCHARD, BENVOLIO):
        for lang in ("", " xml:lang='en'", " xml:lang='de'", " xml:lang='xx'"):
            await play.send(iq("get", ask, from_=asker).replace("<iq ", f"<iq{lang} ", 1))
            await play.expect(
                result(
                    f"<query xmlns='{NAMESPACE}'>"
                    f"<desc>{play.description.prompt_description}</desc>"
                    f"<prompt>{play.description.prompt}</prompt></query>",
                    to=asker,
                )
            )
    await play.nothing_more()


NAMES = {
    "juliet": "juliet",
    " JULIET ": "juliet",
    "J u l i e t": "juliet",
    "Capulet Nurse": "capuletnurse",
    "friar@church.lit": "friar\\40church.lit",
    "c:\\5commas": "c\\3a\\5c5commas",
    "d'artagnan": "d\\27artagnan",
    "a&amp;b&lt;c": "a\\26b\\3cc",
    "caf\u00e9": "caf\u00e9",
    "stra\u00dfe": "strasse",  # as servers make it
    "\ufb01ona": "fiona",
    "\u03ba\u03b1\u03bb\u03bf\u03c2": "\u03ba\u03b1\u03bb\u03bf\u03c3",
    JULIET: "juliet",
    f"friar\\40church.lit@{G}": "friar\\40church.lit",
    f" Juliet@{G.upper()}/chamber\n": "juliet",
    f"xmpp:{JULIET}": "juliet",
    f"XMPP:{JULIET}/chamber?message;body=O": "juliet",
    f"xmpp:friar%5C40church.lit@{G}": "friar\\40church.lit",
    "xmpp:juliet": "xmpp\\3ajuliet",
    f"xmpp:%ff@{G}": f"xmpp\\3a%ff\\40{G}",
}


@pytest.mark.conformance(
    "GW-PROMPT-02", "GW-PROMPT-03", "GW-PROMPT-06", "GW-PROMPT-07", "AMB-16", "CORE-08", "ESC-03"
)
@pytest.mark.needs("any names")
async def test_a_name_becomes_one_jid(autojump_clock: MockClock, play: Stage) -> None:
    for name, local in NAMES.items():
        await play.send(iq("set", asked(name)))
        await play.expect(result(found(f"{local}@{G}")))
    await play.nothing_more()


@pytest.mark.conformance("GW-PROMPT-03", "AMB-17", "GW-ADDR-04")
@pytest.mark.needs("any names")
async def test_a_name_that_no_jid_can_hold_gets_an_alias_that_stays(
    autojump_clock: MockClock, play: Stage
) -> None:
    jids = set()
    for name in ("rose\U0001f339", "ROSE \U0001f339", "rose\U0001f339"):
        await play.send(iq("set", asked(name)))
        answer = await play.expect(result(found("*")))
        jids.add(str(answer[0][0].text))
    [jid] = jids
    assert jid.isascii()
    assert jid.endswith(f"@{G}")
    await play.nothing_more()


@pytest.mark.conformance("GW-PROMPT-04")
@pytest.mark.needs("any names")
async def test_what_is_no_name_is_refused(autojump_clock: MockClock, play: Stage) -> None:
    for query, why in (
        (asked(""), "There is no name to look up."),
        (asked("  \n "), "There is no name to look up."),
        (asked("x" * 65), "*"),
        (asked("two\nlines"), "*"),
        (f"<query xmlns='{NAMESPACE}'/>", "There is no name to look up."),
        (f"<query xmlns='{NAMESPACE}'><name>juliet</name></query>", "There is no name to look up."),
    ):
        await play.send(iq("set", query))
        await play.expect(refused(NOT_ACCEPTABLE).replace("*", why))
    await play.nothing_more()


@pytest.mark.conformance("GW-PROMPT-01")
async def test_a_contact_is_no_gateway(autojump_clock: MockClock, play: Stage) -> None:
    await play.send(iq("get", f"<query xmlns='{NAMESPACE}'/>", to=JULIET))
    await play.expect(refused(UNAVAILABLE, from_=JULIET, text=False))
    await play.send(iq("set", asked("juliet"), to=JULIET))
    await play.expect(refused(UNAVAILABLE, from_=JULIET, text=False))
    await play.nothing_more()
