"""What ends and comes back: the gateway, in order or killed, and the XMPP server under it."""

import contextlib
import math
import signal
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import attrs
import pytest
import trio

from scripts.lab.jabber import Jabber, Received
from scripts.lab.legacy_user import LegacyUser
from scripts.lab.processes import LOOK_AGAIN_SECONDS
from scripts.lab.xmpp_server import User
from tests.e2e.servers import KINDS, PROSODY, Kind, on_every_kind, on_every_program
from tests.e2e.world import (
    GATEWAY,
    JULIET,
    World,
    a_message,
    a_world,
    available,
    body,
    processes_naming,
    settle_in,
    unavailable,
)

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@asynccontextmanager
async def registered_romeo(world: World) -> AsyncGenerator[Jabber, None]:
    """Romeo is registered and logged in; the gateway that did it has ended."""
    user = await world.account("romeo")
    async with world.client(user) as romeo:
        async with world.gateway().running():
            await settle_in(world, romeo)
        await romeo.expect(unavailable(GATEWAY))
        romeo.forget()
        yield romeo


@on_every_kind
async def test_a_gateway_that_ends_says_goodbye_and_one_that_starts_signs_on_again(
    kind: Kind,
) -> None:
    async with (
        a_world(kind=kind) as world,
        world.service.user("juliet") as juliet,
        world.client(await world.account("romeo")) as romeo,
    ):
        async with world.gateway().running() as gateway:
            await settle_in(world, romeo)
            await juliet.expect("presence", address="romeo", show="online")
            assert await gateway.stop() == 0
        for gone in (JULIET, f"echo@{GATEWAY}", GATEWAY):
            await romeo.expect(unavailable(gone))
        await juliet.expect("presence", address="romeo", show="offline")
        assert processes_naming(world.config) == ""
        left = {path.name for path in await trio.Path(world.folder).iterdir()}
        files = {f"balcony.{end}" for end in ("toml", "key", "log", "db", "db.lock")}
        assert left == files | {GATEWAY}
        await romeo.message(JULIET, "nobody there")
        error = await romeo.expect("message[@type='error']")
        assert error.condition == kind.gateway_is_down
        await romeo.nothing_more()

        async with world.gateway().running():
            await romeo.expect(available(GATEWAY))
            await romeo.expect(available(JULIET))
            await juliet.expect("presence", address="romeo", show="online")
            await romeo.message(JULIET, "I did nothing")
            await juliet.expect("message", text="I did nothing")
            await juliet.command("send_message", to="romeo", text="nor did I")
            await romeo.expect(body(JULIET, "nor did I"))
            await romeo.nothing_more(a_message)
            await romeo.nothing_more("presence[@type='subscribe']")


@on_every_program
async def test_a_killed_gateway_leaves_nobody_online_for_ever(kind: Kind) -> None:
    async with a_world(kind=kind) as world, registered_romeo(world) as romeo:
        async with world.service.user("juliet"), world.gateway().running() as gateway:
            await romeo.expect(available(JULIET))
            assert await gateway.kill() == -9
        # She has left while nobody could tell him.
        await romeo.nothing_more(unavailable(JULIET))
        romeo.forget()
        async with world.gateway().running():
            await romeo.expect(unavailable(JULIET))
            await romeo.expect(available(f"echo@{GATEWAY}"))
            await romeo.nothing_more(available(JULIET))


# --- kill -9 in the middle of a conversation --------------------------------------------------

SPOKEN_SECONDS = 0.004  # between two sentences of each
SENTENCES = (40, 75, 110, 160)  # heard as they were said, before each kill
BUSY_SECONDS = 40  # what they said may wait so long, on a machine that has other things to do
AROUND_A_KILL_SECONDS = 0.3  # the documented window is 50 ms and a commit; machines are slow
UNPROVEN_SECONDS = 3  # so long the server's word for what it was sent may take on a busy machine


@attrs.define
class Conversation:
    """What the two say all the time, each sentence with a number, and what comes of it."""

    world: World
    romeo: Jabber
    juliet: LegacyUser
    said: dict[str, float] = attrs.field(factory=dict)  # by romeo: his ids, and when
    told: list[str] = attrs.field(factory=list)  # by juliet
    heard: list[tuple[float, Received]] = attrs.field(factory=list)  # by romeo, errors too
    heard_more: trio.Event = attrs.field(factory=trio.Event)
    kills: list[float] = attrs.field(factory=list)
    enough: bool = False

    async def romeo_talks(self) -> None:
        while not self.enough:
            await self.say(f"romeo-says-{len(self.said)}")
            await trio.sleep(SPOKEN_SECONDS)

    async def say(self, text: str) -> None:
        self.said[text] = trio.current_time()
        await self.romeo.message(JULIET, text, id_=text)

    async def juliet_talks(self) -> None:
        while not self.enough:
            await self.tell(f"juliet-says-{len(self.told)}")
            await trio.sleep(SPOKEN_SECONDS)

    async def tell(self, text: str) -> None:
        self.told.append(text)
        await self.juliet.command("send_message", to="romeo", text=text)

    async def romeo_listens(self) -> None:
        while True:
            self._hear(await self.romeo.expect("message", seconds=math.inf))

    def _hear(self, came: Received) -> None:
        self.heard.append((trio.current_time(), came))
        self.heard_more.set()
        self.heard_more = trio.Event()

    async def wait_heard(self, count: int) -> None:
        """Wait until romeo has heard this many more of her sentences as she said them."""
        wanted = self._heard_live() + count
        while self._heard_live() < wanted:
            await self.heard_more.wait()

    def _heard_live(self) -> int:
        return sum(came.find("delay:delay") is None for _, came in self.from_juliet())

    def from_juliet(self) -> list[tuple[float, Received]]:
        return [(at, came) for at, came in self.heard if came.type == "chat"]

    def returned(self) -> set[str]:
        return {came.id for _, came in self.heard if came.type == "error"}

    def is_near_a_kill(self, moment: float, within: float = AROUND_A_KILL_SECONDS) -> bool:
        return any(abs(moment - kill) < within for kill in self.kills)

    async def arrived(self) -> list[str]:
        """What of romeo's arrived at the service, by its own record."""
        texts: list[str] = []
        since = 0
        while True:
            entries = await self.world.service.call(
                "arrived", since=since, account="romeo", kind="message"
            )
            if not entries:
                return texts
            texts += [entry["fields"]["text"] for entry in entries]
            since = entries[-1]["number"]

    async def conclude(self) -> None:
        """Say a last sentence each, and wait until both have arrived: all before them has, too."""
        last = "romeo-says-good-night"
        await self.say(last)
        await self.juliet.expect("message", text=last, seconds=BUSY_SECONDS)
        await self.tell("juliet-says-good-night")
        while not any(came.body == "juliet-says-good-night" for _, came in self.heard):
            await self.heard_more.wait()
        for came in await self.romeo.take_all("message"):
            self._hear(came)


@on_every_program
async def test_kills_lose_nothing_outside_of_the_window_and_repeat_nothing_as_new(
    kind: Kind,
) -> None:
    async with (
        a_world(kind=kind, seconds=4 * BUSY_SECONDS) as world,
        world.service.user("juliet") as juliet,
        registered_romeo(world) as romeo,
        trio.open_nursery() as listening,
    ):
        talk = Conversation(world, romeo, juliet)
        listening.start_soon(talk.romeo_listens)
        async with trio.open_nursery() as talking:
            talking.start_soon(talk.romeo_talks)
            talking.start_soon(talk.juliet_talks)
            for sentences in SENTENCES:
                async with world.gateway().running() as gateway:
                    await talk.wait_heard(sentences)
                    talk.kills.append(trio.current_time())
                    assert await gateway.kill() == -9
            talk.enough = True
        async with world.gateway().running():
            await wait_until(partial(_is_online, world))  # else what he says next comes back
            await talk.conclude()
            arrived = await talk.arrived()
        listening.cancel_scope.cancel()
    judge_juliets(talk)
    judge_romeos(talk, arrived)


async def _is_online(world: World) -> bool:
    return "online" in (await world.states()).values()


def judge_juliets(talk: Conversation) -> None:
    """All that juliet said was heard, in order; what was heard again had its old id."""
    heard: dict[str, list[tuple[float, Received]]] = {}
    for at, came in talk.from_juliet():
        heard.setdefault(came.body, []).append((at, came))
    assert list(heard) == talk.told  # dicts keep the order of the first time
    ids = [{came.id for _, came in times} for times in heard.values()]
    assert all(len(those) == 1 for those in ids)
    assert len(set.union(*ids)) == len(heard)
    for first, *again in heard.values():
        for (before, _), (_, repeated) in zip((first, *again), again, strict=False):
            # Only what was on its way when a kill came, and then it says that it is late.
            assert talk.is_near_a_kill(before, UNPROVEN_SECONDS)
            assert repeated.find("delay:delay") is not None
    assert any(len(times) == 1 for times in heard.values())


def judge_romeos(talk: Conversation, arrived: list[str]) -> None:
    """Each of romeo's sentences arrived once or came back; only around a kill it may do neither."""
    there, returned = set(arrived), talk.returned()
    assert arrived == [text for text in talk.said if text in there]  # once each, in order
    silent = [text for text in talk.said if text not in there | returned]
    assert [text for text in silent if not talk.is_near_a_kill(talk.said[text])] == []
    # The kills did interrupt something, and the window is no excuse for everything.
    assert returned
    assert len(silent) < len(talk.kills) * AROUND_A_KILL_SECONDS / SPOKEN_SECONDS / 4


# --- kill -9 while something is late: what the journal is for ----------------------------------

MANY = 400  # more than the link has unproven at once: some are in the gateway's memory alone


async def journal_rows(world: World) -> int:
    """Count what is in the journal: committed, as the gateway that is killed next left it."""
    store = sqlite3.connect(f"file:{world.config.with_suffix('.db')}?mode=ro", uri=True)
    with contextlib.closing(store):
        (count,) = store.execute("SELECT count(*) FROM journal").fetchone()
        return int(count)


async def wait_until(done: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again; the world's own deadline bounds it."""
    while not await done():  # noqa: ASYNC110 - another process wakes nobody here
        await trio.sleep(LOOK_AGAIN_SECONDS)


async def test_what_was_acknowledged_to_the_network_survives_a_kill() -> None:
    async with (
        a_world(serving=False) as world,
        world.service.user("juliet") as juliet,
        world.server.serving() as server,
        world.client(await world.account("romeo")) as romeo,
    ):
        async with world.gateway().running() as gateway:
            await settle_in(world, romeo)
            server.process.send_signal(signal.SIGSTOP)  # it proves nothing any more
            texts = [f"juliet-says-{number}" for number in range(MANY)]
            for text in texts:
                await juliet.command("send_message", to="romeo", text=text)
            await wait_until(partial(_all_acknowledged, world))
            # So the service will not repeat them: from here on they are the gateway's to keep.
            assert await journal_rows(world) == MANY
            assert await gateway.kill() == -9
        server.process.send_signal(signal.SIGCONT)
        async with world.gateway().running():
            heard: dict[str, set[str]] = {}
            while len(heard) < MANY:
                came = await romeo.expect("message/body")
                heard.setdefault(came.body, set()).add(came.id)
            await wait_until(partial(_journal_is_empty, world))
            for came in await romeo.take_all("message/body"):
                heard.setdefault(came.body, set()).add(came.id)
            assert list(heard) == texts
            assert all(len(ids) == 1 for ids in heard.values())


async def _all_acknowledged(world: World) -> bool:
    kept: list[str] = await world.service.call("kept", address="romeo")
    return not kept


async def _journal_is_empty(world: World) -> bool:
    return await journal_rows(world) == 0


async def test_a_message_without_an_answer_comes_back_after_a_kill() -> None:
    async with a_world() as world, registered_romeo(world) as romeo:
        async with world.gateway().running() as gateway:
            await romeo.expect(available(f"echo@{GATEWAY}"))
            await world.service.call("set_fault", kind="lose_outcomes", account="romeo")
            await romeo.message(JULIET, "did you get this?", id_="question")
            await wait_until(partial(_journal_holds_one, world))
            assert await gateway.kill() == -9
        await romeo.nothing_more(a_message)
        await world.service.call("clear_faults")
        async with world.gateway().running():
            error = await romeo.expect("message[@type='error']")
            assert (error.id, error.body, error.from_) == ("question", "did you get this?", JULIET)
            assert "not known whether this message arrived" in error.text("error/stanzas:text")
            await wait_until(partial(_journal_is_empty, world))
            await romeo.nothing_more(a_message)
        assert await world.service.count("romeo", "message") == 1  # and was not sent again


async def _journal_holds_one(world: World) -> bool:
    return await journal_rows(world) == 1


# --- the XMPP server --------------------------------------------------------------------------


@asynccontextmanager
async def an_outage(world: World, *, orderly: bool) -> AsyncGenerator[tuple[Jabber, User], None]:
    """Inside, the server romeo was signed on through has ended, and the gateway knows it."""
    async with world.server.serving() as server, world.gateway().running() as gateway:
        user = await world.account("romeo")
        async with world.client(user) as romeo:
            await settle_in(world, romeo)
            await (server.stop() if orderly else server.kill())
            await gateway.wait_said("trying again")
            yield romeo, user


# Not on ejabberd: killed, it forgets its newest users; ended in order, it may or may not tell that
# they are gone, and it gives back what it kept for them in any order within a second.
@pytest.mark.parametrize("kind", [one for one in KINDS if one.signs_its_users_off], ids=str)
async def test_a_link_that_breaks_signs_nobody_off_and_what_was_said_meanwhile_arrives(
    kind: Kind,
) -> None:
    async with (
        a_world(kind=kind, serving=False) as world,
        world.service.user("juliet") as juliet,
        an_outage(world, orderly=False) as (romeo, user),
    ):
        await juliet.command("send_message", to="romeo", text="are you there?")
        await juliet.command("send_message", to="romeo", text="say something")
        (row,) = await world.gateway().users()
        assert row["state"] == "online"
        async with world.server.serving():
            await world.log_in(romeo, user)
            await romeo.presence()
            await romeo.expect(available(GATEWAY))
            await romeo.expect(available(JULIET))
            for text in ("are you there?", "say something"):
                came = await romeo.expect("message/body")
                assert (came.body, came.from_) == (text, JULIET)
                assert came.find("delay:delay") is not None
            await romeo.message(JULIET, "I was never away")
            await juliet.expect("message", text="I was never away")
            await romeo.nothing_more(a_message)
            assert await world.service.count("romeo", "sign_on") == 1
            assert await world.service.count("romeo", "sign_off") == 0


async def test_a_server_that_says_its_users_are_gone_is_believed() -> None:
    async with (
        a_world(kind=PROSODY, serving=False) as world,
        world.service.user("juliet") as juliet,
        an_outage(world, orderly=True) as (romeo, user),
    ):
        await juliet.expect("presence", address="romeo", show="offline")
        await juliet.command("send_message", to="romeo", text="are you there?")
        async with world.server.serving():
            await world.log_in(romeo, user)
            await romeo.presence()
            await romeo.expect(available(JULIET))
            came = await romeo.expect("message/body")
            assert (came.body, came.from_) == ("are you there?", JULIET)
            await romeo.message(JULIET, "back again")
            await juliet.expect("message", text="back again")
            await romeo.nothing_more(a_message)
