"""The link against real servers. The user is played by a second component of the same server."""

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from gateway.host import Address, RealHost
from gateway.xmpp import namespaces as ns
from gateway.xmpp.component import Link, LinkSettings, LinkState
from gateway.xmpp.jid import Jid
from gateway.xmpp.proof import PING_DELAY_SECONDS
from gateway.xmpp.stanza import (
    Condition,
    ErrorType,
    Iq,
    IqType,
    Message,
    MessageType,
    Stanza,
)
from gateway.xmpp.xml import Element
from scripts.lab.xmpp_server import Component, XmppServer
from tests.e2e.servers import EJABBERD, PROSODY, Kind, on_every_program

pytestmark = [pytest.mark.servers]

PATIENCE_SECONDS = 60
AIM = Jid("", "aim.localhost")
USER = Jid("romeo", "user.localhost", "orchard")
JULIET = Jid("juliet", AIM.domain)
COMPONENTS = (Component(str(AIM), "s3crét"), Component(USER.domain, "other"))


class Ear:
    """A receiver whose news can be waited for."""

    def __init__(self) -> None:
        self.put, self._get = trio.open_memory_channel[Stanza | str | int](math.inf)

    def link_up(self) -> None:
        self.put.send_nowait("up")

    def link_down(self, why: str) -> None:
        self.put.send_nowait(f"down: {why}")

    def take(self, stanza: Stanza) -> None:
        self.put.send_nowait(stanza)

    def proven(self, upto: int) -> None:
        self.put.send_nowait(upto)

    async def next(self) -> Stanza | str | int:
        return await self._get.receive()


def settings(server: XmppServer, component: Component) -> LinkSettings:
    host, _, port = server.address_of(component).rpartition(":")
    return LinkSettings(
        jid=Jid.parse(component.jid),
        domain=server.domain,
        server=Address(host, int(port)),
        secret=component.secret,
    )


@asynccontextmanager
async def linked(given: LinkSettings) -> AsyncGenerator[tuple[Link, Ear], None]:
    ear = Ear()
    link = Link(RealHost(), given, ear)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        yield link, ear
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def serving(kind: Kind) -> AsyncGenerator[XmppServer, None]:
    kind.require()
    with trio.fail_after(PATIENCE_SECONDS):
        async with kind.prepare(*COMPONENTS) as server, server.serving():
            yield server


async def settled(link: Link) -> str:
    """Wait until the link waits for its next try; return why."""
    while link.status.state is not LinkState.WAITING:  # noqa: ASYNC110 - an attribute, no event
        await trio.sleep(0.01)
    return link.status.error or ""


@pytest.mark.conformance("COMP-03")
@pytest.mark.parametrize(
    ("kind", "of_an_unknown_host"),
    [
        (PROSODY, "does not know the component icq.localhost"),
        (EJABBERD, "and `jid` its name there"),  # it says the same of both
    ],
    ids=str,
)
async def test_a_wrong_secret_and_an_unknown_host_are_configuration_faults(
    kind: Kind, of_an_unknown_host: str
) -> None:
    async with serving(kind) as server:
        good = settings(server, COMPONENTS[0])
        async with linked(attrs.evolve(good, secret="wrong")) as (link, _ear):
            assert "refused the secret for aim.localhost" in await settled(link)
        unknown = attrs.evolve(good, jid=Jid("", "icq.localhost"))
        async with linked(unknown) as (link, _ear):
            assert of_an_unknown_host in await settled(link)


@pytest.mark.conformance("COMP-03")
@on_every_program
async def test_a_port_for_clients_is_named_as_such(kind: Kind) -> None:
    async with serving(kind) as server:
        clients = attrs.evolve(
            settings(server, COMPONENTS[0]), server=Address(server.host, server.client_port)
        )
        async with linked(clients) as (link, _ear):
            assert "port for components" in await settled(link)


@pytest.mark.conformance("COMP-01", "COMP-02", "COMP-03", "COMP-06")
@on_every_program
async def test_good_links_prove_their_messages(kind: Kind) -> None:
    async with serving(kind) as server:
        good = settings(server, COMPONENTS[0])
        async with (
            linked(good) as (link, ear),
            linked(settings(server, COMPONENTS[1])) as (_user, heard),
        ):
            assert await ear.next() == await heard.next() == "up"
            sent = [
                Message(to=USER, from_=JULIET, id=str(number), body="ciao", lang="it")
                for number in range(120)
            ]
            assert [link.deliver(message) for message in sent] == [*range(1, 121)]
            proven = 0
            while proven < len(sent):
                news = await ear.next()
                assert isinstance(news, int)
                proven = news
            assert [await heard.next() for _ in sent] == sent

            # Nobody there: the error comes, and the proof behind it.
            lost = Message(to=Jid("nobody", server.domain), from_=JULIET, id="x", body="?")
            assert link.deliver(lost) == 121
            error = await ear.next()
            assert isinstance(error, Message)
            assert (error.id, error.type) == ("x", MessageType.ERROR)
            assert await ear.next() == 121

            await link.drain_and_close()
            assert link.status.state is LinkState.CLOSED
            assert await ear.next() == (
                f"down: {server.address_of(COMPONENTS[0])} closed the stream"
            )


@pytest.mark.conformance("COMP-03")
async def test_prosody_lets_no_second_link_in() -> None:
    async with serving(PROSODY) as server:
        good = settings(server, COMPONENTS[0])
        async with linked(good) as (link, ear):
            assert await ear.next() == "up"
            async with linked(good) as (second, _ear):
                assert "another connection serves aim.localhost" in await settled(second)
            assert link.status.state is LinkState.UP


@pytest.mark.conformance("COMP-03", "AMB-32")
async def test_ejabberd_lets_a_second_link_in_which_both_notice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It spreads its answers over the two without a word, and everybody's stanzas, too."""
    monkeypatch.setattr("gateway.xmpp.component.LEFTOVERS_SECONDS", 0)
    async with serving(EJABBERD) as server:
        good = settings(server, COMPONENTS[0])
        async with linked(good) as (link, ear), linked(good) as (second, its_ear):
            assert await ear.next() == await its_ear.next() == "up"
            both = (link, second)
            while not all(each.status.error for each in both):
                for each in both:
                    each.deliver(Message(to=USER, from_=JULIET, body="who hears the answer?"))
                await trio.sleep(PING_DELAY_SECONDS)
            for each in both:
                assert each.status.state is LinkState.UP
                assert "is a second gateway running" in (each.status.error or "")


def nested(depth: int) -> Element:
    element = Element("x", "urn:x")
    for _ in range(depth):
        element = Element("x", "urn:x", {}, (element,))
    return element


@pytest.mark.conformance("COMP-07", "CORE-07")
@on_every_program
async def test_no_user_can_cut_the_link_of_all(kind: Kind) -> None:
    """The servers pass all of these on; each one costs itself only."""
    attributes = {f"a{number}": "" for number in range(100)}
    swelling = Message(to=JULIET, from_=USER, id="1", body="'" * 60_000)
    bad: list[Stanza] = [
        swelling,
        Message(to=JULIET, from_=USER, id="2", payload=(nested(100),)),
        Message(
            to=JULIET, from_=USER, id="3", payload=(Element("x", "u", {}, (nested(1),) * 2000),)
        ),
        Iq(to=JULIET, from_=USER, id="4", type=IqType.SET, payload=Element("x", "u", attributes)),
    ]
    strange = Message(
        to=JULIET,
        from_=USER,
        id="5",
        body="\x00\uffff]]>",
        payload=(Element("x", "}", {"{http://x/{}y}z": "<"}), Element("q", ns.XML), nested(50)),
    )
    async with (
        serving(kind) as server,
        linked(settings(server, COMPONENTS[0])) as (link, ear),
        linked(settings(server, COMPONENTS[1])) as (user, heard),
    ):
        assert await ear.next() == await heard.next() == "up"
        for number, stanza in enumerate(bad, 1):
            user.send(stanza)
            answer = await heard.next()
            assert isinstance(answer, Message | Iq)
            assert (answer.id, answer.from_, answer.to) == (str(number), JULIET, USER)
            assert answer.error is not None
            assert (answer.error.condition, answer.error.type) == (
                Condition.NOT_ACCEPTABLE,
                ErrorType.MODIFY,
            )
        user.send(strange)
        found = await ear.next()
        assert isinstance(found, Message)
        assert (found.body, found.payload) == ("\ufffd\ufffd]]>", strange.payload)
        # And back: what we bounce must not cost the link either.
        link.send(attrs.evolve(strange, to=USER, from_=JULIET))
        back = await heard.next()
        assert isinstance(back, Message)
        assert back.payload == strange.payload
        assert link.status.state is LinkState.UP


@pytest.mark.conformance("COMP-04")
@on_every_program
async def test_a_restarted_server_is_found_again(kind: Kind) -> None:
    kind.require()
    with trio.fail_after(PATIENCE_SECONDS):
        async with (
            kind.prepare(*COMPONENTS) as server,
            linked(settings(server, COMPONENTS[0])) as (link, ear),
        ):
            for _ in range(2):
                async with server.serving():
                    assert await ear.next() == "up"
                assert "down:" in str(await ear.next())
            assert server.address_of(COMPONENTS[0]).partition(":")[2] in await settled(link)
