"""What an operator does, does wrong, and looks at: `balcony`'s commands and its log."""

import itertools
import re
from collections.abc import Iterable

import pytest
import trio

from scripts.lab.processes import REPOSITORY, ProcessFailed
from tests.e2e.world import (
    GATEWAY,
    JULIET,
    Gateway,
    World,
    a_message,
    a_play,
    a_world,
    add,
    available,
    body,
    register,
    registration,
    unavailable,
    write_configuration,
)

pytestmark = [pytest.mark.servers, pytest.mark.slow]


# --- the tree of tasks ------------------------------------------------------------------------


def paths(lines: Iterable[str]) -> list[tuple[str, ...]]:
    """Read a drawn tree: each task as its names from the root on."""
    found: list[tuple[str, ...]] = []
    above: list[str] = []
    for line in lines:
        drawn = re.fullmatch(r"((?:│   |    )*)(?:├── |└── )?(.+)", line.rstrip())
        assert drawn is not None, line
        is_root = line == drawn[2]
        depth = 0 if is_root else len(drawn[1]) // 4 + 1
        above[depth:] = [drawn[2]]
        found.append(tuple(above))
    return found


def diagram() -> list[tuple[str, ...]]:
    text = (REPOSITORY / "docs" / "architecture.md").read_text("utf-8")
    (block,) = re.findall(r"^```tasks\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return paths(block.splitlines())


def with_placeholders(tree: list[tuple[str, ...]]) -> set[tuple[str, ...]]:
    names = {GATEWAY: "<component>", f"{GATEWAY}/romeo@localhost": "<component>/<user>"}
    return {tuple(names.get(name, name) for name in path) for path in tree}


async def test_the_live_tree_of_tasks_is_the_one_in_the_documents() -> None:
    async with a_play() as play:
        # A change of the contact list is brought once it has been quiet, and takes its moment.
        online: list[tuple[str, ...]] = []
        for look in itertools.count():
            if look % 8 == 0:
                change = {"address": "romeo", "contact": "juliet", "name": f"Juliet {look}"}
                await play.world.service.call("change_contact", **change)
            online = paths(await play.world.gateway().tasks())
            if any("roster" in path for path in online):
                break
        # The service says nothing more, to anybody: a registration hangs beside the session.
        await play.world.service.call("set_fault", kind="stall_answers", account="juliet")
        filled_in = registration("juliet", play.world.service.emulator.passwords["juliet"])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(play.romeo.iq, GATEWAY, filled_in, "set")
            with trio.fail_after(10):
                registering: list[tuple[str, ...]] = []
                while not any("registration" in path and "writer" in path for path in registering):
                    registering = paths(await play.world.gateway().tasks())
            await play.world.service.call("clear_faults")
    assert len(online) == len(set(online))  # no task twice
    drawn = diagram()
    assert len(drawn) == len(set(drawn))
    assert with_placeholders(online + registering) == set(drawn)
    assert not any("registration" in path for path in online)


async def test_users_are_shown_with_their_states() -> None:
    async with a_play() as play:
        (row,) = await play.world.gateway().users()
        assert row == {
            "component": GATEWAY,
            "user": "romeo@localhost",
            "account": "romeo",
            "state": "online",
        }
        await play.world.service.call("set_fault", kind="refuse", reason="suspended")
        await play.world.service.call("kick", address="romeo")
        await play.romeo.expect(unavailable(JULIET))
        told = await play.romeo.expect(f"message[@from='{GATEWAY}']/body")
        assert "suspended" in told.body
        (row,) = await play.world.gateway().users()
        assert row["state"] == "refused"


# --- what is configured wrongly ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "said", "remedy"),
    [
        ({"secret": "wrong"}, "refused the secret", "`secret` must be the one"),
        ({"jid": "icq.localhost"}, "does not know the component icq.localhost", "add it to the"),
    ],
)
async def test_a_link_the_server_refuses_is_logged_with_the_remedy_and_tried_again(
    wrong: dict[str, str], said: str, remedy: str
) -> None:
    async with a_world() as world:
        await write_wrong(world, **wrong)
        async with world.gateway().running(ready=False) as gateway:
            line = await gateway.wait_said(said)
            assert " ERROR " in line
            assert remedy in line
            assert "trying again in 300 s" in line
            assert await world.gateway().users() == []  # it runs, and answers
            assert any("roll call" in line for line in await world.gateway().tasks())
            assert "balcony: ready" not in gateway.output()
            assert gateway.output().count(said) == 1
            assert await gateway.stop() == 0


async def write_wrong(world: World, *, secret: str = "", jid: str = "") -> None:
    world.config.unlink()
    await write_configuration(world, world.config, secret=secret, jid=jid)


async def test_the_port_for_clients_is_told_from_the_one_for_components() -> None:
    async with a_world() as world:
        text = world.config.read_text()
        (component,) = world.server.components
        wrong = f"{world.server.host}:{world.server.client_port}"
        world.config.write_text(text.replace(world.server.address_of(component), wrong))
        async with world.gateway().running(ready=False) as gateway:
            line = await gateway.wait_said(" ERROR ")
            assert "the port for components" in line
            assert await gateway.stop() == 0


async def test_a_second_daemon_on_the_same_store_is_refused() -> None:
    async with a_play() as play:
        with pytest.raises(
            ProcessFailed, match=r"(?s)ended with 1\n.*another balcony uses this store"
        ):
            async with Gateway(play.world.config).running() as second:
                await second.wait_line("never")
        await play.romeo.message(JULIET, "nothing happened to me")
        await play.juliet.expect("message", text="nothing happened to me")


async def test_a_second_gateway_for_the_same_component_never_gets_its_users() -> None:
    async with a_play() as play:
        world = play.world
        other = world.folder / "other" / "balcony.toml"
        other.parent.mkdir()
        await write_configuration(world, other)
        async with world.gateway(other).running(ready=False) as second:
            line = await second.wait_said("another connection serves")
            assert " ERROR " in line
            assert "is a second gateway running with the same component?" in line
            await play.romeo.message(JULIET, "who hears this?")
            await play.juliet.expect("message", text="who hears this?")
            assert await second.stop() == 0
        assert "another connection" not in play.gateway.output()
        await play.romeo.nothing_more(a_message)
        await play.romeo.nothing_more("presence[@type='unavailable']")


# --- several components -----------------------------------------------------------------------


async def test_two_components_in_one_daemon_have_nothing_to_do_with_each_other() -> None:
    async with a_world("aim.localhost", "icq.localhost") as world, world.gateway().running():
        aim, icq = world.services
        password = aim.emulator.passwords["romeo"]
        mercutios = icq.emulator.passwords["mercutio"]
        async with (
            aim.user("juliet") as juliet_of_aim,
            icq.user("juliet") as juliet_of_icq,
            icq.user("benvolio") as benvolio_of_icq,
            world.client(await world.account("romeo")) as romeo,
            world.client(await world.account("mercutio")) as mercutio,
        ):
            await romeo.presence()
            await mercutio.presence()
            # The same legacy name on both, and another user on one of them.
            for gateway in ("aim.localhost", "icq.localhost"):
                await register(romeo, password, gateway=gateway)
                await add(romeo, f"juliet@{gateway}")
                await romeo.expect(available(f"juliet@{gateway}"))
            await register(mercutio, mercutios, name="mercutio", gateway="icq.localhost")
            await add(mercutio, "benvolio@icq.localhost")
            await mercutio.expect(available("benvolio@icq.localhost"))

            await romeo.message("juliet@aim.localhost", "to the one of aim")
            await juliet_of_aim.expect("message", text="to the one of aim")
            await juliet_of_icq.command("send_message", to="romeo", text="from the one of icq")
            await romeo.expect(body("juliet@icq.localhost", "from the one of icq"))
            await benvolio_of_icq.command("send_message", to="mercutio", text="a fight!")
            await mercutio.expect(body("benvolio@icq.localhost", "a fight!"))

            await aim.call("kick", address="romeo", reason="suspended")
            await romeo.expect(unavailable("juliet@aim.localhost"))
            await romeo.message("juliet@icq.localhost", "still with you")
            await juliet_of_icq.expect("message", text="still with you")

            rows = {(row["component"], row["user"]): row for row in await world.gateway().users()}
            assert {key: row["state"] for key, row in rows.items()} == {
                ("aim.localhost", "romeo@localhost"): "refused",
                ("icq.localhost", "romeo@localhost"): "online",
                ("icq.localhost", "mercutio@localhost"): "online",
            }
            said = await aim.call("arrived", account="romeo", kind="message")
            assert [one["fields"]["text"] for one in said] == ["to the one of aim"]
            said = await icq.call("arrived", account="romeo", kind="message")
            assert [one["fields"]["text"] for one in said] == ["still with you"]
            await romeo.take_all("message[@from='aim.localhost']")  # it says that it was refused
            await romeo.nothing_more(a_message)
            await romeo.nothing_more(unavailable("juliet@icq.localhost"))
            await mercutio.nothing_more(a_message)
            for contact in ("juliet@aim.localhost", "juliet@icq.localhost"):
                await mercutio.nothing_more(f"presence[@from='{contact}']")
