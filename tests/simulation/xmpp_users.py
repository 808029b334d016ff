"""Users of the scripted XMPP server: their clients, rosters, and what their server does for them.

One class plays a user's server side (RFC 6121 subscriptions, probes, offline storage, as measured
on Prosody) and a simple client (accepts who asks, believes what presence it is told).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import attrs
import trio

from tests.simulation.host import virtual_now
from tests.simulation.xml_stream import (
    COMPONENT,
    DELAY,
    STANZA_ERRORS,
    XML,
    bare,
    child,
    element,
    error_reply,
    local_name,
    may_be_answered,
    result,
    text_element,
)

if TYPE_CHECKING:
    from tests.simulation.xmpp_server import ComponentLink, XmppServer

DISCO_INFO = "http://jabber.org/protocol/disco#info"
AVATAR_UPDATE = "vcard-temp:x:update"
SUBSCRIBING = ("subscribe", "subscribed", "unsubscribe", "unsubscribed")


@attrs.define
class RosterItem:
    """A contact as the user's server keeps it."""

    to: bool = False  # the user sees the contact
    from_: bool = False  # the contact sees the user
    ask: bool = False
    asked_by: bool = False

    @property
    def subscription(self) -> str:
        return {(0, 0): "none", (1, 0): "to", (0, 1): "from"}.get((self.to, self.from_), "both")


@attrs.define
class Seen:
    """The last presence one resource was told of one JID."""

    available: bool
    show: str = ""
    status: str = ""
    error: str = ""
    at: float = 0.0


@attrs.define(eq=False)
class Resource:
    """One client of a user, connected and available."""

    jid: str
    presence: ET.Element
    seen: dict[str, Seen] = attrs.field(factory=dict)
    directed: dict[str, bool] = attrs.field(factory=dict)
    presence_errors: list[tuple[str, str]] = attrs.field(factory=list)  # (from, condition)

    def sees(self, contact: str) -> Seen | None:
        """Return the presence of a bare JID as this client shows it; None means offline."""
        for jid, seen in self.seen.items():
            if bare(jid) == contact and seen.available:
                return seen
        return None


@attrs.frozen
class Received:
    """A message with a body, taken over by the user's server."""

    id: str
    sender: str
    body: str
    stamp: str | None  # of its delay, where it has one
    at: float
    offline: bool
    kind: str


@attrs.define(eq=False)
class Sent:
    """An iq or a message the user has sent, with every answer that came to it."""

    id: str
    sender: str
    to: str
    body: str
    at: float
    name: str
    link: "ComponentLink | None" = None  # None: no component was there
    offset: int = 0  # where it ends on the link
    answers: list[ET.Element] = attrs.field(factory=list)
    answered: trio.Event = attrs.field(factory=trio.Event)

    def read_at(self) -> float:
        """Return when the component had read it; infinity if never."""
        return self.link.read_at(self.offset) if self.link else float("inf")

    @property
    def bounced(self) -> bool:
        return any(answer.get("type") == "error" for answer in self.answers)


class User:
    """A user of the server. Everything he or a test does is a plain method."""

    def __init__(self, server: "XmppServer", jid: str) -> None:
        self.server = server
        self.jid = jid
        self.roster: dict[str, RosterItem] = {}
        self.resources: dict[str, Resource] = {}
        self.received: list[Received] = []
        self.sent: dict[str, Sent] = {}
        self.strays: list[ET.Element] = []  # answers to nothing that was asked
        self.accepts_requests = True
        self._offline: list[ET.Element] = []
        self._numbered = 0

    def _number(self) -> str:
        self._numbered += 1
        return f"{bare(self.jid).partition('@')[0]}-{self._numbered}"

    def item(self, contact: str) -> RosterItem:
        return self.roster.setdefault(bare(contact), RosterItem())

    # --- what the user does -------------------------------------------------------------------

    def login(self, resource: str = "r", show: str = "", status: str = "") -> Resource:
        """Connect a client and make it available: presence to who may see it, then probes."""
        jid = f"{self.jid}/{resource}"
        self.logout(resource)
        made = self.resources[resource] = Resource(jid, self._available(jid, show, status))
        self._broadcast(made.presence)
        for contact, item in self.roster.items():
            if item.to:
                self._presence(jid, contact, "probe")
        for contact, item in list(self.roster.items()):
            if item.asked_by:
                self._client_is_asked(contact)
        kept, self._offline = self._offline, []
        for message in kept:  # the client has them now; they were recorded when they came
            self.server.note("offline", message)
        return made

    def set_presence(self, resource: str = "r", show: str = "", status: str = "") -> None:
        client = self.resources[resource]
        client.presence = self._available(client.jid, show, status)
        self._broadcast(client.presence)

    def direct_presence(self, to: str, resource: str = "r") -> None:
        """Show one resource to a JID that need not be in the roster."""
        client = self.resources[resource]
        client.directed[to] = True
        self._send(self._copy(client.presence, to))

    def logout(self, resource: str = "r") -> None:
        """End one client; its server tells everybody who was shown it. Harmless without one."""
        client = self.resources.pop(resource, None)
        if client is None:
            return
        self._broadcast(self._presence_element(client.jid, "", "unavailable"))
        for to in client.directed:
            if not self.item(to).from_:
                self._presence(client.jid, to, "unavailable")

    def lose_connections(self) -> None:
        """Lose every client with the server itself, so that nobody is told."""
        self.resources.clear()

    def subscribe(self, contact: str) -> None:
        item = self.item(contact)
        if not item.to:
            item.ask = True
        self._presence(self.jid, contact, "subscribe")

    def unsubscribe(self, contact: str) -> None:
        item = self.item(contact)
        item.to = item.ask = False
        self._forget_presence(contact)
        self._presence(self.jid, contact, "unsubscribe")

    def approve(self, contact: str) -> None:
        """Let `contact` see this user, and show it each resource."""
        item = self.item(contact)
        item.asked_by = False
        item.from_ = True
        self._presence(self.jid, contact, "subscribed")
        for client in self.resources.values():
            self._send(self._copy(client.presence, contact))

    def deny(self, contact: str) -> None:
        item = self.item(contact)
        item.asked_by = item.from_ = False
        self._presence(self.jid, contact, "unsubscribed")

    def remove(self, contact: str) -> None:
        """Take a contact off the roster, in the three stanzas that fit what there was."""
        item = self.roster.pop(bare(contact), RosterItem())
        self._forget_presence(contact)
        if item.from_ or item.asked_by:
            self._presence(self.jid, contact, "unsubscribed")
        if item.from_:
            for client in self.resources.values():
                self._presence(client.jid, contact, "unavailable")
        if item.to or item.ask:
            self._presence(self.jid, contact, "unsubscribe")

    def send_message(self, to: str, body: str, resource: str = "r") -> Sent:
        """Send a chat message from a connected client."""
        message = element(
            "message",
            COMPONENT,
            {f"{{{XML}}}lang": "en", "type": "chat", "id": self._number()},
            text_element("body", COMPONENT, body),
        )
        return self._ask(message, to, resource, body)

    def send_iq(self, to: str, kind: str, payload: ET.Element, resource: str = "r") -> Sent:
        """Send a request from a connected client; `answered` is set with the first answer."""
        iq = element("iq", COMPONENT, {"type": kind, "id": self._number()}, payload)
        return self._ask(iq, to, resource, "")

    def _ask(self, stanza: ET.Element, to: str, resource: str, body: str) -> Sent:
        sender, number = self.resources[resource].jid, stanza.get("id", "")
        stanza.set("from", sender)
        stanza.set("to", to)
        kept = Sent(number, sender, to, body, trio.current_time(), local_name(stanza))
        self.sent[number] = kept
        kept.link, kept.offset = self._send(stanza)
        return kept

    # --- what the server does for him ---------------------------------------------------------

    def _send(self, stanza: ET.Element) -> "tuple[ComponentLink | None, int]":
        return self.server.route(stanza)

    def _presence_element(self, sender: str, to: str, kind: str) -> ET.Element:
        attributes = {"from": sender, "to": to, "type": kind, "id": self._number()}
        return element("presence", COMPONENT, attributes)

    def _presence(self, sender: str, to: str, kind: str) -> None:
        target = bare(to) if kind in SUBSCRIBING else to
        self._send(self._presence_element(sender, target, kind))

    def _available(self, jid: str, show: str, status: str) -> ET.Element:
        presence = element("presence", COMPONENT, {f"{{{XML}}}lang": "en", "from": jid})
        for name, value in (("show", show), ("status", status)):
            if value:
                presence.append(text_element(name, COMPONENT, value))
        presence.append(element("x", AVATAR_UPDATE))  # servers add it by themselves
        return presence

    def _copy(self, presence: ET.Element, to: str) -> ET.Element:
        copied = element("presence", COMPONENT, presence.attrib, *presence)
        copied.set("to", to)
        return copied

    def _broadcast(self, presence: ET.Element) -> None:
        for contact, item in self.roster.items():
            if item.from_:
                self._send(self._copy(presence, contact))

    def _forget_presence(self, contact: str) -> None:
        for client in self.resources.values():
            for jid in [jid for jid in client.seen if bare(jid) == bare(contact)]:
                del client.seen[jid]

    def receive(self, stanza: ET.Element) -> None:
        """Take a stanza addressed to this user or to one of his resources."""
        match local_name(stanza):
            case "message":
                self._receive_message(stanza)
            case "presence":
                self._receive_presence(stanza)
            case _:
                self._receive_iq(stanza)

    def _answered(self, stanza: ET.Element) -> None:
        """File an answer under its request; only who was asked can answer."""
        request = self.sent.get(stanza.get("id", ""))
        if (
            request is None
            or request.name != local_name(stanza)
            or request.to != stanza.get("from")
            or request.sender != stanza.get("to")
        ):
            self.strays.append(stanza)
            return
        request.answers.append(stanza)
        request.answered.set()

    def _receive_message(self, message: ET.Element) -> None:
        if message.get("type") == "error":
            self._answered(message)
            return
        body = child(message, "body")
        if body is None:
            return
        delay = child(message, "delay", DELAY)
        self.received.append(
            Received(
                id=message.get("id", ""),
                sender=message.get("from", ""),
                body=body.text or "",
                stamp=None if delay is None else delay.get("stamp"),
                at=trio.current_time(),
                offline=not self.resources,
                kind=message.get("type", "normal"),
            )
        )
        if not self.resources:
            self._offline.append(message)

    def _receive_iq(self, iq: ET.Element) -> None:
        resource = iq.get("to", "").partition("/")[2]
        if not may_be_answered(iq):
            self._answered(iq)
            if resource and resource not in self.resources and iq.get("type") == "result":
                # QUIRK(Prosody 0.12): a result for a client that has gone comes back as an error.
                self._send(error_reply(iq, "recipient-unavailable", "wait"))
        elif resource in self.resources and child(iq, "query", DISCO_INFO) is not None:
            features = [element("feature", DISCO_INFO, {"var": DISCO_INFO})]
            identity = element("identity", DISCO_INFO, {"category": "client", "type": "pc"})
            self._send(result(iq, element("query", DISCO_INFO, {}, identity, *features)))
        else:
            self._send(error_reply(iq, "service-unavailable", "cancel"))

    def _receive_presence(self, presence: ET.Element) -> None:
        sender, kind = presence.get("from", ""), presence.get("type", "")
        match kind:
            case "probe":
                self._answer_probe(sender)
            case "subscribe":
                self._receive_subscribe(bare(sender))
            case "subscribed":
                self._receive_subscribed(bare(sender))
            case "unsubscribe":
                self._receive_unsubscribe(bare(sender))
            case "unsubscribed":
                item = self.item(sender)
                item.to = item.ask = False
                self._forget_presence(sender)
            case _:
                self._show(presence)

    def _answer_probe(self, sender: str) -> None:
        if not self.item(sender).from_:
            return  # as Prosody: nothing at all, not even an error
        for client in self.resources.values():
            answer = self._copy(client.presence, sender)
            stamp = virtual_now().strftime("%Y-%m-%dT%H:%M:%SZ")
            answer.append(element("delay", DELAY, {"from": client.jid, "stamp": stamp}))
            self._send(answer)
        if not self.resources and self.server.traits.answers_for_the_absent:
            self._presence(self.jid, sender, "unavailable")

    def _receive_subscribe(self, contact: str) -> None:
        item = self.item(contact)
        if item.from_:
            self._presence(self.jid, contact, "subscribed")
            for client in self.resources.values():
                self._send(self._copy(client.presence, contact))
            return
        # QUIRK(Prosody 0.12): from the bare JID, before anybody has answered.
        self._presence(self.jid, contact, "unavailable")
        item.asked_by = True
        if self.resources:
            self._client_is_asked(contact)

    def _client_is_asked(self, contact: str) -> None:
        if not self.accepts_requests:
            return
        self.approve(contact)
        if not self.item(contact).to and not self.item(contact).ask:
            self.subscribe(contact)

    def _receive_subscribed(self, contact: str) -> None:
        item = self.item(contact)
        if not item.ask:
            return  # nobody asked: a strict server drops it
        item.to, item.ask = True, False
        if self.server.traits.probes_on_approval:
            self._presence(self.jid, contact, "probe")

    def _receive_unsubscribe(self, contact: str) -> None:
        item = self.item(contact)
        if item.from_:
            for client in self.resources.values():
                self._presence(client.jid, contact, "unavailable")
        item.from_ = item.asked_by = False

    def _show(self, presence: ET.Element) -> None:
        """Give presence to the clients it is for."""
        _, _, resource = presence.get("to", "").partition("/")
        sender, kind = presence.get("from", ""), presence.get("type", "")
        if resource:
            clients = [self.resources[resource]] if resource in self.resources else []
        else:
            clients = list(self.resources.values())
        for client in clients:
            condition = _condition(presence) if kind == "error" else ""
            if kind == "error":
                client.presence_errors.append((sender, condition))
            client.seen[sender] = Seen(
                available=not kind,
                show=_text(presence, "show"),
                status=_text(presence, "status"),
                error=condition,
                at=trio.current_time(),
            )


def _text(stanza: ET.Element, name: str) -> str:
    found = child(stanza, name)
    return "" if found is None else found.text or ""


def _condition(stanza: ET.Element) -> str:
    error = child(stanza, "error")
    for each in error if error is not None else ():
        if each.tag.startswith(f"{{{STANZA_ERRORS}}}"):
            return local_name(each)
    return ""


def register_form(fields: Mapping[str, str]) -> ET.Element:
    """Build what a client submits to register."""
    namespace = "jabber:iq:register"
    filled = [text_element(name, namespace, value) for name, value in fields.items()]
    return element("query", namespace, {}, *filled)
