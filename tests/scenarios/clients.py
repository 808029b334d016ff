"""What clients and servers put on the wire, in the shapes they were seen to use.

Gajim 1.7, Converse.js 14, Profanity 0.13 and go-sendxmpp 0.5 behind Prosody 0.12 and ejabberd 23.
"""

from xml.etree import ElementTree as ET

import trio

from tests.fakes.stage import JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.casts import Cast
from tests.scenarios.words import REGISTER, presence

INFO = "http://jabber.org/protocol/disco#info"
CHAT_STATES = "http://jabber.org/protocol/chatstates"
ACTIVE, GONE = f"<active xmlns='{CHAT_STATES}'/>", f"<gone xmlns='{CHAT_STATES}'/>"
COMPOSING, PAUSED = f"<composing xmlns='{CHAT_STATES}'/>", f"<paused xmlns='{CHAT_STATES}'/>"
NO_STORE = "<no-store xmlns='urn:xmpp:hints'/>"
REQUEST = "<request xmlns='urn:xmpp:receipts'/>"
MARKABLE = "<markable xmlns='urn:xmpp:chat-markers:0'/>"
ORIGIN_ID = "<origin-id xmlns='urn:xmpp:sid:0' id='e5b0d0bc-8b2f-4d3a-9d4f-6f3f8a0d9a11'/>"
AVATAR = "<x xmlns='vcard-temp:x:update'><photo>4294d0ef</photo></x>"
DELAY = f"<delay xmlns='urn:xmpp:delay' from='{ORCHARD}' stamp='2031-03-14T15:00:00Z'/>"
CAPS = (
    "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://conversejs.org'"
    " ver='Xd9KwvTEPqRCOQTDWbnWA+mWPb4='/>"
)
INSTRUCTIONS = "Your screen name and password on the emulated service."


def gajims_form(username: str | None, password: str | None, *, typed: bool = True) -> str:
    """Return a form as Gajim submits it: all it was shown comes back; None goes out empty."""

    def value(text: str | None) -> str:
        return "" if text is None else f"<value>{text}</value>"

    form_type = f"<field type='hidden' var='FORM_TYPE'>{value(REGISTER)}</field>" if typed else ""
    return (
        "<x xmlns='jabber:x:data' type='submit'><title>Emulated service</title>"
        f"<instructions>{INSTRUCTIONS}</instructions>{form_type}"
        "<field type='text-single' var='username' label='Screen name'><required/>"
        f"{value(username)}</field>"
        "<field type='text-private' var='password' label='Password'><required/>"
        f"{value(password)}</field></x>"
    )


def chat(
    inside: str, *, id_: str = "", from_: str = ORCHARD, to: str = JULIET, type_: str = "chat"
) -> str:
    """Return a message with whatever is in it, and without an id unless one is given."""
    number = f" id='{id_}'" if id_ else ""
    kind = f" type='{type_}'" if type_ else ""
    return f"<message{kind}{number} from='{from_}' to='{to}'>{inside}</message>"


def logs_in(resource: str, *contacts: str, inside: str = "") -> list[str]:
    """Return what a server says when a resource comes, to all who are subscribed or in `contacts`.

    First the presence goes out, then a probe to each.
    """
    return [
        *(presence(resource, to, inside=inside) for to in (G, *contacts)),
        *(presence(resource, to, "probe") for to in (G, *contacts)),
    ]


def removes(contact: str, *, resource: str = ORCHARD, full: bool = True) -> list[str]:
    """Return what a server says when a contact is taken off the roster.

    Prosody has it `full`: the subscription stanzas come from the resource. ejabberd has another
    order, and the bare JID.
    """
    if full:
        types = ("unsubscribed", "unavailable", "unsubscribe")
        return [presence(resource, contact, type_) for type_ in types]
    return [
        presence(resource, contact, "unavailable"),
        presence(ROMEO, contact, "unsubscribe"),
        presence(ROMEO, contact, "unsubscribed"),
    ]


async def asks_back(play: Stage, cast: Cast, contact: str) -> None:
    """Expect a contact who has granted to ask in turn, where it can be known that he has to."""
    if cast.tells_who_sees:
        await play.expect(presence(contact, ROMEO, "subscribe"))


async def what_comes(play: Stage, stanzas: int = 1) -> list[ET.Element]:
    """Wait for so many stanzas, whatever they are."""
    with trio.fail_after(10):
        return [await play.link.next_stanza() for _ in range(stanzas)]


async def all_that_comes(play: Stage) -> list[ET.Element]:
    """Take stanzas until none has come for a while."""
    found: list[ET.Element] = []
    while True:
        with trio.move_on_after(5) as quiet:
            found.append(await play.link.next_stanza())
        if quiet.cancelled_caught:
            return found
