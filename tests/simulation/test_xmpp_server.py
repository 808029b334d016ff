"""The scripted XMPP server does what real ones were seen to do."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.host import Address
from tests.simulation.network import SimNetwork, SimStream
from tests.simulation.trace import Trace
from tests.simulation.xml_stream import COMPONENT, MAX_STANZA_BYTES, BadXml, StreamParser, element
from tests.simulation.xmpp_server import Conflict, Traits, XmppServer
from tests.simulation.xmpp_users import User

PLACE = Address("xmpp", 5347)
GATEWAY = "aim.example.net"
HEADER = (
    "<stream:stream xmlns='jabber:component:accept'"
    f" xmlns:stream='http://etherx.jabber.org/streams' to='{GATEWAY}'>"
)


class Stub:
    """A component in literal XML."""

    def __init__(self, stream: SimStream) -> None:
        self.stream = stream
        self.text = ""

    async def send(self, text: str) -> None:
        await self.stream.send_all(text.encode())

    async def hear(self, end: str) -> str:
        """Return everything up to and with `end`; fail if it does not come."""
        with trio.fail_after(30):
            while end not in self.text:
                data = await self.stream.receive_some()
                assert data, f"ended before {end!r}: {self.text!r}"
                self.text += data.decode()
        heard, _, self.text = self.text.partition(end)
        return heard + end

    async def hear_the_end(self) -> str:
        with trio.fail_after(30):
            while data := await self.stream.receive_some():
                self.text += data.decode()
        return self.text

    async def handshake(self, secret: str = "s3cret") -> None:
        await self.send(HEADER)
        heard = await self.hear("'>")
        heard += await self.hear(">") if "id='" not in heard else ""
        stream_id = heard.partition(" id='")[2].partition("'")[0]
        digest = hashlib.sha1((stream_id + secret).encode()).hexdigest()  # noqa: S324
        await self.send(f"<handshake>{digest}</handshake>")

    async def quiet(self) -> str:
        """Return everything that came before the answer to a ping sent now."""
        await self.send(
            f"<iq type='get' id='quiet' from='{GATEWAY}' to='example.net'>"
            "<ping xmlns='urn:xmpp:ping'/></iq>"
        )
        heard = await self.hear('id="quiet"/>')
        return heard.rpartition("<iq")[0]


@attrs.frozen
class Place:
    server: XmppServer
    network: SimNetwork

    async def dial(self) -> Stub:
        return Stub(await self.network.dial(PLACE, "stub"))

    async def component(self) -> Stub:
        stub = await self.dial()
        await stub.handshake()
        await stub.hear("<handshake/>")
        return stub


@asynccontextmanager
async def serving(**traits: Any) -> AsyncGenerator[Place, None]:
    network = SimNetwork(1, Trace())
    server = XmppServer("example.net", {GATEWAY: "s3cret"}, traits=Traits(**traits))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(network.bind(PLACE).serve, server.serve)
        yield Place(server, network)
        nursery.cancel_scope.cancel()


def friend(server: XmppServer, contact: str = f"juliet@{GATEWAY}") -> User:
    """Make a user who has the gateway and one contact in the roster, both ways."""
    user = server.add_user("romeo")
    for jid in (GATEWAY, contact):
        user.item(jid).to = user.item(jid).from_ = True
    return user


# --- the stream -------------------------------------------------------------------------------


def test_the_parser_gives_the_same_for_every_cut() -> None:
    text = f"{HEADER}<message to='a'><body>x &gt; y</body></message>  <iq id='1'/></stream:stream>"
    data = text.encode()
    for size in (1, 2, 7, len(data)):
        parser = StreamParser()
        events: list[object] = []
        for start in range(0, len(data), size):
            events += parser.feed(data[start : start + size])
        names = [getattr(event, "tag", type(event).__name__) for event in events]
        assert names == ["Opened", f"{{{COMPONENT}}}message", f"{{{COMPONENT}}}iq", "Ended"]


@pytest.mark.parametrize("bad", ["<a>", f"{HEADER}<iq></q>", f"{HEADER}<m>&nope;</m>"])
def test_the_parser_refuses_what_is_no_stream(bad: str) -> None:
    with pytest.raises(BadXml):
        StreamParser().feed(bad.encode())


async def test_the_right_secret_opens_the_link(autojump_clock: MockClock) -> None:
    async with serving() as place:
        await place.component()
        link = place.server.link_of(GATEWAY)
        assert link is not None
        assert link.ready


async def test_a_wrong_secret_is_refused(autojump_clock: MockClock) -> None:
    async with serving() as place:
        stub = await place.dial()
        await stub.handshake("wrong")
        assert "<not-authorized" in await stub.hear_the_end()
        assert place.server.link_of(GATEWAY) is None


async def test_an_unknown_component_is_refused(autojump_clock: MockClock) -> None:
    async with serving() as place:
        stub = await place.dial()
        await stub.send(HEADER.replace(GATEWAY, "icq.example.net"))
        assert "<host-unknown" in await stub.hear_the_end()


async def test_the_second_connection_meets_a_conflict(autojump_clock: MockClock) -> None:
    async with serving() as place:
        first, second = await place.component(), await place.dial()
        await second.handshake()
        assert "<conflict" in await second.hear_the_end()
        assert await first.quiet() == ""


async def test_the_other_kind_of_server_kicks_the_first(autojump_clock: MockClock) -> None:
    async with serving(conflict=Conflict.KICK_OLD) as place:
        first, second = await place.component(), await place.component()
        assert "<conflict" in await first.hear_the_end()
        assert await second.quiet() == ""


@pytest.mark.parametrize(
    ("stanza", "error"),
    [
        ("<message from='x@evil.example' to='romeo@example.net'/>", "invalid-from"),
        (f"<message from='{GATEWAY}'/>", "improper-addressing"),
        (f"<message from='{GATEWAY}' to='a@example.net'>&nope;</message>", "not-well-formed"),
        (f"<message from='{GATEWAY}' to='a'>{'x' * MAX_STANZA_BYTES}", "not-well-formed"),
        (f"<hello from='{GATEWAY}' to='a@example.net'/>", "unsupported-stanza-type"),
    ],
)
async def test_what_breaks_the_rules_costs_the_link(
    autojump_clock: MockClock, stanza: str, error: str
) -> None:
    async with serving() as place:
        stub = await place.component()
        await stub.send(stanza)
        assert f"<{error}" in await stub.hear_the_end()
        assert place.server.link_of(GATEWAY) is None
        assert len(place.server.offences) == 1


async def test_a_goodbye_is_answered(autojump_clock: MockClock) -> None:
    async with serving() as place:
        stub = await place.component()
        await stub.send("</stream:stream>")
        assert await stub.hear_the_end() == "</stream:stream>"


async def test_a_ping_comes_after_what_stood_before(autojump_clock: MockClock) -> None:
    async with serving() as place:
        user, stub = place.server.add_user("romeo"), await place.component()
        message = f"<message from='j@{GATEWAY}' to='{user.jid}' id='m'><body>hi</body></message>"
        await stub.send(message * 20)
        await stub.quiet()
        assert [message.body for message in user.received] == ["hi"] * 20
        assert all(message.offline for message in user.received)


async def test_a_server_without_ping_answers_an_error(autojump_clock: MockClock) -> None:
    async with serving(knows_ping=False) as place:
        stub = await place.component()
        await stub.send(
            f"<iq type='get' id='p' from='{GATEWAY}' to='example.net'>"
            "<ping xmlns='urn:xmpp:ping'/></iq>"
        )
        heard = await stub.hear("</iq>")
        assert 'type="error"' in heard
        assert "service-unavailable" in heard


async def test_a_missing_user_bounces_messages_only(autojump_clock: MockClock) -> None:
    async with serving() as place:
        stub = await place.component()
        await stub.send(f"<presence from='{GATEWAY}' to='nobody@example.net'/>")
        assert await stub.quiet() == ""
        await stub.send(f"<message id='7' from='j@{GATEWAY}' to='nobody@example.net'/>")
        heard = await stub.quiet()
        assert 'id="7"' in heard
        assert "service-unavailable" in heard


# --- users ------------------------------------------------------------------------------------


async def test_a_login_is_presence_and_then_probes(autojump_clock: MockClock) -> None:
    async with serving() as place:
        user, stub = friend(place.server), await place.component()
        user.login("o", "away")
        heard = await stub.quiet()
        assert [part.split(" ")[0] for part in heard.split("<")[1:] if part[0] == "p"] == [
            "presence"
        ] * 4
        first = f'<presence xml:lang="en" from="romeo@example.net/o" to="{GATEWAY}">'
        assert heard.startswith(first + "<show>away</show>")
        assert heard.count('type="probe"') == 2
        user.logout("o")
        heard = await stub.quiet()
        assert heard.count('type="unavailable"') == 2
        assert heard.count("<presence") == 2


async def test_a_probe_is_answered_by_each_resource(autojump_clock: MockClock) -> None:
    probe = f"<presence type='probe' from='{GATEWAY}' to='romeo@example.net'/>"
    async with serving() as place:
        user, stub = friend(place.server), await place.component()
        await stub.send(probe)
        assert 'type="unavailable"' in await stub.quiet()
        user.login("o")
        user.login("b")
        await stub.quiet()
        await stub.send(probe)
        heard = await stub.quiet()
        assert heard.count("urn:xmpp:delay") == 2
        user.item(GATEWAY).from_ = False
        await stub.send(probe)
        assert await stub.quiet() == ""


async def test_a_subscription_asked_by_the_gateway(autojump_clock: MockClock) -> None:
    async with serving() as place:
        user, stub = place.server.add_user("romeo"), await place.component()
        user.login("o")
        await stub.send(f"<presence type='subscribe' from='{GATEWAY}' to='{user.jid}'/>")
        heard = await stub.quiet()
        kinds = [part.partition('"')[0] for part in heard.split('type="')[1:]]
        assert kinds == ["unavailable", "subscribed", "subscribe"]
        assert 'from="romeo@example.net/o"' in heard
        await stub.send(f"<presence type='subscribed' from='{GATEWAY}' to='{user.jid}'/>")
        assert 'type="probe"' in await stub.quiet()
        assert user.item(GATEWAY).subscription == "both"


async def test_an_unsolicited_approval_is_dropped(autojump_clock: MockClock) -> None:
    async with serving() as place:
        user, stub = place.server.add_user("romeo"), await place.component()
        await stub.send(f"<presence type='subscribed' from='{GATEWAY}' to='{user.jid}'/>")
        await stub.quiet()
        assert user.item(GATEWAY).subscription == "none"


async def test_removing_a_contact_sends_what_fits(autojump_clock: MockClock) -> None:
    async with serving() as place:
        user, stub = friend(place.server), await place.component()
        user.login("o")
        await stub.quiet()
        user.remove(f"juliet@{GATEWAY}")
        heard = await stub.quiet()
        kinds = [part.partition('"')[0] for part in heard.split('type="')[1:]]
        assert kinds == ["unsubscribed", "unavailable", "unsubscribe"]


async def test_each_client_believes_what_it_was_told(autojump_clock: MockClock) -> None:
    contact = f"juliet@{GATEWAY}"
    async with serving() as place:
        user, stub = friend(place.server), await place.component()
        one, two = user.login("o"), user.login("b")
        away = f"<presence from='{contact}' to='{{}}'><show>away</show></presence>"
        await stub.send(away.format(one.jid))
        await stub.quiet()
        seen = one.sees(contact)
        assert seen is not None
        assert seen.show == "away"
        assert two.sees(contact) is None
        await stub.send(away.format(user.jid))
        await stub.quiet()
        assert two.sees(contact) is not None
        await stub.send(f"<presence type='unavailable' from='{contact}' to='{user.jid}'/>")
        await stub.quiet()
        assert one.sees(contact) is None
        assert two.sees(contact) is None


async def test_without_the_component_everything_bounces(autojump_clock: MockClock) -> None:
    async with serving() as place:
        user = friend(place.server)
        client = user.login("o")
        assert (GATEWAY, "remote-server-timeout") in client.presence_errors
        sent = user.send_message(f"juliet@{GATEWAY}", "hi", "o")
        assert sent.bounced
        assert sent.link is None
        asked = user.send_iq(GATEWAY, "get", element("query", "jabber:iq:register"), "o")
        assert asked.answered.is_set()


async def test_what_the_component_has_read_is_known(autojump_clock: MockClock) -> None:
    async with serving() as place:
        user, stub = place.server.add_user("romeo"), await place.component()
        user.login("o")
        first = user.send_message(f"juliet@{GATEWAY}", "one", "o")
        await stub.hear("</message>")
        second = user.send_message(f"juliet@{GATEWAY}", "two", "o")
        await trio.sleep(1)
        place.network.connections[0].cut()
        assert first.read_at() < trio.current_time()
        assert second.read_at() == float("inf")


async def test_only_who_was_asked_answers(autojump_clock: MockClock) -> None:
    async with serving() as place:
        user, stub = place.server.add_user("romeo"), await place.component()
        client = user.login("o")
        asked = user.send_iq(GATEWAY, "get", element("query", "jabber:iq:register"), "o")
        answer = f"<iq type='result' id='{asked.id}' from='{{}}' to='{client.jid}'/>"
        await stub.send(answer.format(f"juliet@{GATEWAY}"))
        await stub.quiet()
        assert asked.answers == []
        assert len(user.strays) == 1
        await stub.send(answer.format(GATEWAY))
        await stub.quiet()
        assert len(asked.answers) == 1


async def test_a_result_for_a_client_that_has_gone_comes_back(autojump_clock: MockClock) -> None:
    async with serving() as place:
        user, stub = place.server.add_user("romeo"), await place.component()
        user.login("o")
        asked = user.send_iq(GATEWAY, "get", element("query", "jabber:iq:register"), "o")
        user.logout("o")
        await stub.quiet()
        await stub.send(f"<iq type='result' id='{asked.id}' from='{GATEWAY}' to='{user.jid}/o'/>")
        assert "recipient-unavailable" in await stub.quiet()
        assert len(asked.answers) == 1


async def test_a_shutdown_is_told_and_clients_are_gone(autojump_clock: MockClock) -> None:
    async with serving() as place:
        user, stub = friend(place.server), await place.component()
        user.login("o")
        await stub.quiet()
        place.server.shut_down()
        heard = await stub.hear_the_end()
        assert "system-shutdown" in heard
        assert "<presence" not in heard
        assert user.resources == {}
        assert user.item(GATEWAY).subscription == "both"
        assert place.server.link_of(GATEWAY) is None


async def test_the_end_of_a_cut_link_is_noticed(autojump_clock: MockClock) -> None:
    async with serving() as place:
        await place.component()
        link = place.server.link_of(GATEWAY)
        assert link is not None
        place.network.connections[0].cut()
        await trio.sleep(1)
        assert place.server.link_of(GATEWAY) is None
        assert link.ended_at < trio.current_time()
