"""What the network sends can swell when it is escaped: it is cut or split to fit."""

import re
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.networks.base import (
    AddContact,
    CommandDone,
    CommandFailed,
    Contact,
    ContactChanged,
    ContactList,
    ContactRequest,
    FetchProfile,
    LegacyCommand,
    LegacyEvent,
    LoginRefused,
    MessageOutcome,
    MessageReceived,
    Notice,
    PresenceChanged,
    Profile,
    Reason,
    Refusal,
    Search,
    SendMessage,
    Show,
    Stage,
)
from tests.fakes.network import FakeNetwork, FakeSettings
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, SERVER, G, stage
from tests.fakes.stage import Stage as Play

MERCUTIO = f"mercutio@{SERVER}"
MOST_BYTES = 10_000
# Five bytes each, six in an attribute; what XML forbids becomes three bytes.
SWELLING = ("&" * 1_999, "'<\r\x00\ud800" * 500)
BODY = "{jabber:component:accept}body"


@pytest.fixture
async def play(
    tmp_path: Path, net: type[FakeNetwork], autojump_clock: MockClock
) -> AsyncGenerator[Play, None]:
    net.capabilities = attrs.evolve(net.capabilities, profile=True, search=True)
    net.description = attrs.evolve(net.description, capabilities=net.capabilities)
    async with stage(tmp_path, net, FakeSettings(), max_stanza_bytes=MOST_BYTES) as it:
        it.link.client_features = "<feature var='http://jabber.org/protocol/rosterx'/>"
        await it.register()
        await it.sign_on()
        await it.register(f"{MERCUTIO}/x", "mercutio", "queenmab")
        await it.sign_on(f"{MERCUTIO}/x")
        for _ in range(2):
            await take_items(it)
        await it.nothing_more()
        yield it


async def take_items(play: Play) -> None:
    """Answer as a client that takes the roster items it is offered."""
    offer = await play.link.next_stanza()
    assert offer.find("{http://jabber.org/protocol/rosterx}x") is not None
    await play.send(f"<iq type='result' id='{offer.get('id')}' from='{offer.get('to')}' to='{G}'/>")


def largest(play: Play) -> int:
    """Return the bytes of the largest stanza that came."""
    stanzas = re.split(rb"(?=<(?:presence|message|iq)\b)", bytes(play.link.received))
    return max(len(one) for one in stanzas)


async def came(play: Play) -> list[str]:
    """Return the texts of what comes within some seconds."""
    await trio.sleep(10)
    texts = []
    while play.link._arrived:
        found = await play.link.next_stanza()
        texts.append(" ".join((*found.itertext(), *(one.get("name", "") for one in found.iter()))))
    return texts


def answering(text: str) -> Callable[[LegacyCommand], LegacyEvent | None]:
    """Answer as a network that has this text for everything."""

    def answer(command: LegacyCommand) -> LegacyEvent | None:
        match command:
            case SendMessage(ref=ref):
                return MessageOutcome(ref, Stage.FAILED, reason=Reason.REFUSED, text=text)
            case AddContact(ref=ref):
                return CommandFailed(ref, Reason.REFUSED, text)
            case FetchProfile(ref=ref):
                fields = dict.fromkeys(("name", "nick", "city", "country", "email", "about"), text)
                return CommandDone(ref, Profile("juliet", fields))
            case Search(ref=ref):
                found = [Profile(f"n{n}", {"nick": text, "name": text}) for n in range(20)]
                return CommandDone(ref, tuple(found))
        return None

    return answer


EVENTS: dict[str, Callable[[str], list[LegacyEvent]]] = {
    "status": lambda text: [PresenceChanged("juliet", Show.AWAY, text)],
    "status of the gone": lambda text: [
        PresenceChanged("juliet", Show.AWAY, "brb"),
        PresenceChanged("juliet", Show.OFFLINE, text),
    ],
    "request": lambda text: [ContactRequest(address="paris", nick=text, reason=text)],
    "names": lambda text: [ContactList(tuple(Contact(f"n{n}", text) for n in range(20)))],
    "groups": lambda text: [
        ContactChanged(Contact("paris", text, tuple(f"{n}{text}" for n in range(30))))
    ],
    "notice": lambda text: [Notice(text)],
    "body": lambda text: [
        MessageReceived(conversation="juliet", sender="juliet", text=text * 2, token=1)
    ],
}
STANZAS = {
    "outcome": f"<message type='chat' id='m1' from='{ORCHARD}' to='{JULIET}'>"
    f"<body>{'&amp;' * 1_900}</body></message>",
    "not added": f"<presence type='subscribe' from='{ROMEO}' to='paris@{G}'/>",
    "card": f"<iq type='get' id='v1' from='{ORCHARD}' to='{JULIET}'>"
    "<vCard xmlns='vcard-temp'/></iq>",
    "found": f"<iq type='set' id='s1' from='{ORCHARD}' to='{G}'>"
    "<query xmlns='jabber:iq:search'><nick>n</nick></query></iq>",
}


@pytest.mark.conformance("COMP-07", "CORE-07")
@pytest.mark.parametrize("text", SWELLING, ids=["ampersands", "forbidden"])
@pytest.mark.parametrize("kind", [*EVENTS, *STANZAS, "refusal"])
async def test_swelling_text_is_cut_and_ends_no_session(
    kind: str, text: str, autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    romeo, mercutio = net.clients
    net.rules.answer = answering(text)
    if kind in EVENTS:
        romeo.tell(*EVENTS[kind](text))
    elif kind in STANZAS:
        await play.send(STANZAS[kind])
    else:
        net.failures.append(LoginRefused(Refusal.SUSPENDED, text))
        romeo.end()
    said = await came(play)
    assert any(text[:2] in one for one in said)
    assert not any("fault of this gateway" in one for one in said)
    assert largest(play) <= MOST_BYTES
    mercutio.tell(MessageReceived(conversation="juliet", sender="juliet", text="still here"))
    await play.expect(
        f"<message type='chat' from='{JULIET}' to='{MERCUTIO}'><body>still here</body></message>"
    )
    await play.nothing_more()


@pytest.mark.conformance("GW-SEND-09", "COMP-07")
@pytest.mark.parametrize("text", SWELLING, ids=["ampersands", "forbidden"])
async def test_swelling_message_is_split_and_whole(
    text: str, autojump_clock: MockClock, play: Play, net: type[FakeNetwork]
) -> None:
    net.clients[0].tell(
        MessageReceived(
            conversation="x" * 64, sender="x" * 64, text=text * 20, token=1, legacy_id="long"
        )
    )
    await trio.sleep(5)
    bodies = []
    while play.link._arrived:
        bodies.append((await play.link.next_stanza()).findtext(BODY, ""))
    assert "".join(bodies) == re.sub("[\0\ud800]", "\ufffd", text * 20)
    assert largest(play) <= MOST_BYTES
    assert net.clients[0].acknowledged == [1]
