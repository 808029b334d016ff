"""What is asked beside the usual: nodes, commands, protocols of old."""

import pytest
from trio.testing import MockClock

from tests.fakes.stage import JULIET, ORCHARD, G, Stage
from tests.scenarios.words import (
    BENVOLIO,
    ITEM_NOT_FOUND,
    NURSE,
    STRANGER,
    UNAVAILABLE,
    iq,
    refused,
    result,
)

INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"
COMMANDS = "http://jabber.org/protocol/commands"


@pytest.mark.conformance("DISCO-02", "DISCO-04")
@pytest.mark.parametrize("asker", [ORCHARD, BENVOLIO, STRANGER])
async def test_the_list_of_commands_is_described_to_anybody(
    autojump_clock: MockClock, play: Stage, asker: str
) -> None:
    await play.send(iq("get", f"<query xmlns='{INFO}' node='{COMMANDS}'/>", from_=asker))
    await play.expect(
        result(
            f"<query xmlns='{INFO}' node='{COMMANDS}'>"
            "<identity category='automation' type='command-list'/>"
            f"<feature var='{INFO}'/></query>",
            to=asker,
        )
    )
    await play.nothing_more(asker)


@pytest.mark.conformance("DISCO-03", "DISCO-04", "AMB-19")
@pytest.mark.parametrize("node", ["balcony", "", f"{COMMANDS}#x", "&lt;&amp;&gt;"])
async def test_no_node_says_whether_a_contact_exists(
    autojump_clock: MockClock, play: Stage, node: str
) -> None:
    await play.register()
    await play.sign_on()
    for namespace in (INFO, ITEMS):
        ask = f"<query xmlns='{namespace}' node='{node}'/>"
        for asker, to in [
            (ORCHARD, G), (ORCHARD, JULIET), (ORCHARD, f"nobody@{G}"),
            (BENVOLIO, G), (BENVOLIO, JULIET), (BENVOLIO, f"nobody@{G}"),
        ]:  # fmt: skip
            await play.send(iq("get", ask, from_=asker, to=to))
            await play.expect(refused(ITEM_NOT_FOUND, from_=to, to=asker, text=False))
    await play.nothing_more()


@pytest.mark.conformance("TIME-01", "VER-01", "DISCO-01", "CORE-03")
async def test_what_is_not_listed_is_not_served(autojump_clock: MockClock, play: Stage) -> None:
    await play.register()
    await play.sign_on()
    for number, (type_, question) in enumerate(
        [
            ("get", "<query xmlns='jabber:iq:time'/>"),
            ("get", "<query xmlns='jabber:iq:last'/>"),
            ("get", "<query xmlns='jabber:iq:browse'/>"),
            ("get", "<slot xmlns='urn:xmpp:http:upload:0'/>"),
            ("set", "<ping xmlns='urn:xmpp:ping'/>"),
            ("set", "<query xmlns='jabber:iq:version'/>"),
            ("set", "<time xmlns='urn:xmpp:time'/>"),
            ("set", f"<query xmlns='{INFO}'/>"),
            ("get", f"<command xmlns='{COMMANDS}' node='x'/>"),
        ]
    ):
        for to in (G, JULIET, NURSE):
            await play.send(iq(type_, question, id_=f"q{number}", to=to))
            await play.expect(refused(UNAVAILABLE, id_=f"q{number}", from_=to, text=False))
    await play.nothing_more()
