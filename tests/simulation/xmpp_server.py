"""A scripted XMPP server: the server side of component links, and the routing behind them.

It reads a stream strictly in order, so its answer to a ping proves what came before. Users and
their clients are in `xmpp_users.py`. Every stanza written to a component has its place in the
link's bytes, so that a judge can tell what the component certainly read. What a component does
against the rules closes its link, as real servers do it, and is kept in `offences`.
"""

import hashlib
import math
from collections.abc import Mapping
from enum import Enum
from random import Random
from xml.etree import ElementTree as ET

import attrs
import trio

from tests.simulation.network import SimStream
from tests.simulation.xml_stream import (
    COMPONENT,
    MAX_STANZA_BYTES,
    STREAM,
    STREAM_ERRORS,
    BadXml,
    Ended,
    Opened,
    StreamParser,
    bare,
    child,
    domain_of,
    element,
    error_reply,
    local_name,
    may_be_answered,
    result,
    to_xml,
)
from tests.simulation.xmpp_users import User

PING = "urn:xmpp:ping"
DISCO_INFO = "http://jabber.org/protocol/disco#info"
MAX_BACKLOG_BYTES = 64 * 1024 * 1024
CLOSE_SECONDS = 5.0
STANZAS = ("message", "presence", "iq")


class Conflict(Enum):
    """What becomes of a second connection for a domain that has one."""

    KICK_NEW = "kick_new"
    KICK_OLD = "kick_old"


@attrs.frozen
class Traits:
    """In what servers differ."""

    conflict: Conflict = Conflict.KICK_NEW
    knows_ping: bool = True  # False: a ping is answered with an error
    answers_for_the_absent: bool = True  # a probe for a user with no resource is answered
    probes_on_approval: bool = True  # from the bare JID, once a contact lets a user see it


class ComponentLink:
    """One connection of one component, from its opening to its end, kept after it."""

    def __init__(self, stream: SimStream) -> None:
        self.stream = stream
        self.domain = ""
        self.stream_id = ""
        self.ready = False
        self.closing = False
        self.ended_at = math.inf
        self.queued = 0
        self._backlog: list[bytes] = []
        self._wake = trio.Event()

    def write(self, data: bytes) -> int:
        """Queue `data`; return where it ends in all that is written on this link."""
        self.queued += len(data)
        self._backlog.append(data)
        self._wake.set()
        return self.queued

    def read_at(self, offset: int) -> float:
        """Return when the component had read what ends at `offset`; infinity if it has not."""
        return self.stream.peer_read_at(offset)

    def close(self, error: str = "") -> None:
        """End the stream, with a stream error if one is named. Waits for nothing."""
        if self.closing:
            return
        if error:
            condition = to_xml(element(error, STREAM_ERRORS))
            self.write(f"<stream:error>{condition}</stream:error>".encode())
        self.write(b"</stream:stream>")
        self.closing = True

    async def write_out(self) -> None:
        """Send what is queued, until the stream is closed at our side."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            ready, self._backlog = b"".join(self._backlog), []
            # Whoever queued `</stream:stream>` also set `closing`, in the same step.
            last = self.closing
            await self.stream.send_all(ready)
            if last:
                return


class XmppServer:
    """One server with one domain, its users, and the components it knows by their secrets."""

    def __init__(
        self, domain: str, secrets: Mapping[str, str], seed: int = 0, traits: Traits | None = None
    ) -> None:
        self.domain = domain
        self.traits = traits or Traits()
        self.users: dict[str, User] = {}
        self.links: list[ComponentLink] = []
        self.offences: list[str] = []
        self.has_had_link = trio.Event()
        self.transcript: list[str] | None = None  # set it to a list to have every stanza kept
        self._secrets = dict(secrets)
        self._current: dict[str, ComponentLink] = {}
        self._random = Random(f"{seed}/xmpp server")

    def add_user(self, name: str) -> User:
        user = User(self, f"{name}@{self.domain}")
        self.users[user.jid] = user
        return user

    def link_of(self, component: str) -> ComponentLink | None:
        """Return the live link of a component, as far as the server knows."""
        return self._current.get(component)

    def shut_down(self) -> None:
        """End as a server does: links closed with `system-shutdown`, every client gone.

        Rosters and stored messages remain; a new start is nothing but accepting again.
        """
        for user in self.users.values():
            user.lose_connections()
        for link in list(self._current.values()):
            self._forget(link)
            link.close("system-shutdown")

    # --- the component link -------------------------------------------------------------------

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one component connection until it ends."""
        assert isinstance(stream, SimStream)
        link = ComponentLink(stream)
        self.links.append(link)
        try:
            async with trio.open_nursery() as nursery:

                async def write_out() -> None:
                    await link.write_out()
                    nursery.cancel_scope.cancel()

                nursery.start_soon(write_out, name="xmpp server/writer")
                await self._read(link)
                link.close()
                nursery.cancel_scope.deadline = trio.current_time() + CLOSE_SECONDS
        except* trio.BrokenResourceError:
            pass
        finally:
            self._forget(link)

    def _forget(self, link: ComponentLink) -> None:
        link.ended_at = min(link.ended_at, trio.current_time())
        if self._current.get(link.domain) is link:
            del self._current[link.domain]

    async def _read(self, link: ComponentLink) -> None:
        parser = StreamParser()
        async for data in link.stream:
            try:
                events = parser.feed(data)
            except BadXml as exc:
                self._offence(link, "not-well-formed", str(exc))
                return
            for event in events:
                if link.closing:
                    return
                match event:
                    case Opened(attributes):
                        self._open(link, attributes)
                    case Ended():
                        return
                    case _ if link.ready:
                        self._take(link, event)
                    case _:
                        self._handshake(link, event)
        return

    def _offence(self, link: ComponentLink, error: str, what: str) -> None:
        self.offences.append(f"{link.domain}: {error}: {what}")
        self._forget(link)
        link.close(error)

    def _open(self, link: ComponentLink, attributes: Mapping[str, str]) -> None:
        link.domain = attributes.get("to", "")
        link.stream_id = f"{self._random.getrandbits(64):x}"
        link.write(
            f"<?xml version='1.0'?><stream:stream xmlns='{COMPONENT}' xmlns:stream='{STREAM}'"
            f" from='{link.domain}' id='{link.stream_id}'>".encode()
        )
        if link.domain not in self._secrets:
            link.close("host-unknown")

    def _handshake(self, link: ComponentLink, stanza: ET.Element) -> None:
        secret = link.stream_id + self._secrets[link.domain]
        expected = hashlib.sha1(secret.encode(), usedforsecurity=False).hexdigest()
        if local_name(stanza) != "handshake" or stanza.text != expected:
            link.close("not-authorized")
            return
        old = self._current.get(link.domain)
        if old is not None and self.traits.conflict is Conflict.KICK_NEW:
            link.close("conflict")
            return
        if old is not None:
            self._forget(old)
            old.close("conflict")
        self._current[link.domain] = link
        link.ready = True
        self.has_had_link.set()
        link.write(b"<handshake/>")

    def _take(self, link: ComponentLink, stanza: ET.Element) -> None:
        self.note("<", stanza)
        sender, to = stanza.get("from", ""), stanza.get("to", "")
        if local_name(stanza) not in STANZAS or not stanza.tag.startswith(f"{{{COMPONENT}}}"):
            self._offence(link, "unsupported-stanza-type", stanza.tag)
        elif domain_of(sender) != link.domain:
            self._offence(link, "invalid-from", sender)
        elif not to:
            self._offence(link, "improper-addressing", to_xml(stanza))
        elif domain_of(to) == self.domain:
            self._take_for_us(stanza)
        elif domain_of(to) == link.domain:
            self.route(stanza)
        else:
            self.route(error_reply(stanza, "remote-server-not-found", "cancel"))

    def _take_for_us(self, stanza: ET.Element) -> None:
        user = self.users.get(bare(stanza.get("to", "")))
        if user is not None:
            user.receive(stanza)
        elif stanza.get("to") == self.domain:
            self._answer_for_the_domain(stanza)
        elif may_be_answered(stanza) and local_name(stanza) != "presence":
            self.route(error_reply(stanza, "service-unavailable", "cancel"))

    def _answer_for_the_domain(self, stanza: ET.Element) -> None:
        if local_name(stanza) != "iq" or not may_be_answered(stanza):
            return
        if child(stanza, "ping", PING) is not None and self.traits.knows_ping:
            self.route(result(stanza))
        elif child(stanza, "query", DISCO_INFO) is not None:
            identity = element("identity", DISCO_INFO, {"category": "server", "type": "im"})
            self.route(result(stanza, element("query", DISCO_INFO, {}, identity)))
        else:
            self.route(error_reply(stanza, "service-unavailable", "cancel"))

    # --- routing ------------------------------------------------------------------------------

    def route(self, stanza: ET.Element) -> tuple[ComponentLink | None, int]:
        """Send `stanza` on its way; return the link it was written to, and where it ends there.

        To a component that is not connected: its sender gets an error, where one is due.
        """
        to = domain_of(stanza.get("to", ""))
        if to == self.domain:
            self._take_for_us(stanza)
            return None, 0
        link = self._current.get(to)
        if link is not None:
            data = to_xml(stanza).encode()
            assert len(data) <= MAX_STANZA_BYTES
            self.note(">", stanza)
            if link.queued - link.stream.sent > MAX_BACKLOG_BYTES:
                link.stream.connection.cut()
            return link, link.write(data)
        if may_be_answered(stanza):
            known = to in self._secrets
            condition = "remote-server-timeout" if known else "remote-server-not-found"
            self.route(error_reply(stanza, condition, "wait" if known else "cancel"))
        return None, 0

    def note(self, direction: str, stanza: ET.Element) -> None:
        if self.transcript is not None:
            self.transcript.append(f"{trio.current_time():10.4f} {direction} {to_xml(stanza)}")
