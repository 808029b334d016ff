"""The harness itself, before anything of the gateway is judged with it."""

import re

import pytest
import trio

from scripts.lab import terminal as terminals
from scripts.lab.jabber import NotSeen, jabber_client
from scripts.lab.processes import LOOK_AGAIN_SECONDS, ProcessFailed, running, scratch_folder
from scripts.lab.xmpp_server import CONFIGURATIONS, Component, XmppServer, operators_file
from tests.e2e import servers
from tests.e2e.servers import PROGRAMS, Kind, on_every_kind, on_every_program
from tests.e2e.world import processes_naming

TEST_SECONDS = 120

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("server", PROGRAMS, ids=str, indirect=True)
async def test_two_users_chat_through_a_private_server(server: XmppServer) -> None:
    romeo_account = await server.register("romeo")
    juliet_account = await server.register("juliet", 'a "strange" <password> & more')
    port = server.client_port
    with trio.fail_after(TEST_SECONDS):
        async with jabber_client("romeo") as romeo, jabber_client("juliet") as juliet:
            await romeo.login(romeo_account.jid, romeo_account.password, port, "orchard")
            await juliet.login(juliet_account.jid, juliet_account.password, port)
            assert romeo.jid == "romeo@localhost/orchard"
            await romeo.presence("away", "with <friends> & foes")
            own = await romeo.expect("presence")
            assert (own.from_, own.show, own.status) == (romeo.jid, "away", "with <friends> & foes")

            await romeo.presence(to=juliet.jid)
            await juliet.expect(lambda came: came.kind == "presence" and came.from_ == romeo.jid)

            sent = await juliet.message(romeo.jid, "Wherefore <art> thou?", chat_state="active")
            came = await romeo.expect("message[@type='chat']/body")
            assert (came.id, came.from_, came.to) == (sent, juliet.jid, romeo.jid)
            assert (came.body, came.chat_state) == ("Wherefore <art> thou?", "active")
            assert came.fits("message/states:active")
            assert came.fits("message[body='Wherefore <art> thou?']")
            assert not came.fits("message/error")
            await romeo.nothing_more("message")
            await juliet.nothing_more()


async def test_an_iq_gets_its_answer_whether_result_or_error(server: XmppServer) -> None:
    account = await server.register("romeo")
    with trio.fail_after(TEST_SECONDS):
        async with jabber_client() as romeo:
            await romeo.login(account.jid, account.password, server.client_port)
            assert (await romeo.ask_roster()).find("roster:query") is not None
            refused = await romeo.iq("nowhere.localhost", '<query xmlns="jabber:iq:register"/>')
            assert (refused.type, refused.condition) == ("error", "not-allowed")


async def test_what_was_not_expected_is_told_with_the_conversation(server: XmppServer) -> None:
    account = await server.register("romeo")
    with trio.fail_after(TEST_SECONDS):
        async with jabber_client("romeo") as romeo:
            await romeo.login(account.jid, account.password, server.client_port)
            await romeo.message(romeo.jid, "to myself")
            with pytest.raises(NotSeen, match=r"(?s)more came.*to myself"):
                await romeo.nothing_more()
            with pytest.raises(NotSeen, match=r"(?s)message/nothing did not come.*to myself"):
                await romeo.expect("message/nothing", seconds=0.1)
            await romeo.drop()
            with pytest.raises(NotSeen, match="stream ended"):
                await romeo.expect("message/nothing")
            with pytest.raises(ConnectionError, match="not logged in"):
                await romeo.presence()


async def test_a_wrong_password_is_an_error_that_says_so(server: XmppServer) -> None:
    await server.register("romeo")
    with trio.fail_after(TEST_SECONDS):
        async with jabber_client() as romeo:
            with pytest.raises(ConnectionError, match="not authorized"):
                await romeo.login("romeo@localhost", "wrong", server.client_port)


@on_every_program
async def test_an_absent_component_is_answered_by_the_server(kind: Kind) -> None:
    kind.require()
    names = ("aim.localhost", "icq.localhost")
    with trio.fail_after(TEST_SECONDS):
        async with kind.prepare(*map(Component, names)) as server, server.serving():
            account = await server.register("romeo")
            async with jabber_client() as romeo:
                await romeo.login(account.jid, account.password, server.client_port)
                for gateway in names:
                    answer = await romeo.iq(gateway, '<query xmlns="jabber:iq:register"/>')
                    assert answer.condition == kind.gateway_is_down


@on_every_program
async def test_a_server_starts_again_on_the_same_ports_with_its_users(kind: Kind) -> None:
    kind.require()
    with trio.fail_after(TEST_SECONDS):
        async with kind.prepare() as server:
            for number in range(2):
                async with server.serving() as running_server, jabber_client() as romeo:
                    if not number:
                        account = await server.register("romeo")
                    await romeo.login(account.jid, account.password, server.client_port)
                assert running_server.process.returncode == 0
            assert server.folder.exists()
        assert not server.folder.exists()


@on_every_kind
async def test_an_operators_file_is_the_one_in_the_documents(kind: Kind) -> None:
    """What the server is started with differs from it in names, ports and secrets only."""
    component = Component("aim.localhost")
    async with kind.prepare(component) as server:
        (theirs,) = CONFIGURATIONS.glob(f"{kind}.*")
        (ours,) = server.folder.rglob(f"{component.jid}*")
        pairs = zip(theirs.read_text().splitlines(), ours.read_text().splitlines(), strict=True)
        changed = [line.strip() for line, here in pairs if line != here]
    assert changed
    assert all(
        re.search(r'"(aim\.)?example\.net"|"CHANGE ME"|port: 5347', line) for line in changed
    )


def test_an_operators_file_without_one_of_its_examples_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ejabberd.yml has no port: 5348"):
        operators_file("ejabberd.yml", {"port: 5348": "port: 1"})
    with pytest.raises(ValueError, match=r'still has an example in it: "aim.example.net"'):
        operators_file("ejabberd.yml", {'"CHANGE ME"': '"x"'})


async def test_a_process_that_ends_early_is_reported_with_its_log() -> None:
    with scratch_folder("early") as folder, trio.fail_after(TEST_SECONDS):
        command = ["sh", "-c", "echo here is why; exit 3"]
        async with running("early", command, folder / "early.log") as early:
            with pytest.raises(ProcessFailed, match=r"(?s)early ended with 3.*here is why"):
                await early.wait_line("ready")


async def test_a_process_that_ignores_its_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.lab.processes.STOP_SECONDS", 0.2)
    command = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"]
    with scratch_folder("stubborn") as folder, trio.fail_after(TEST_SECONDS):
        async with running("stubborn", command, folder / "stubborn.log") as stubborn:
            await stubborn.wait_line("up")
        assert stubborn.process.returncode == -9


async def test_a_terminal_shows_its_screen_and_ends_its_program() -> None:
    servers.require_program("tmux", terminals.DEBIAN_PACKAGE)
    with scratch_folder("terminal") as home, trio.fail_after(TEST_SECONDS):
        loop = f"echo here in {home}; while read line; do echo got $line; done"
        async with terminals.terminal("loop", ["sh", "-c", loop], home) as screen:
            await screen.see(f"here in {home}")
            await screen.type("wha")
            await screen.enter("t's that")
            await screen.see("got what's that")
            with pytest.raises(
                NotSeen, match=r"(?s)loop: 'never' was not.*here in.*what was typed"
            ):
                await screen.see("never", seconds=0.1)
            assert processes_naming(home) != ""
        while processes_naming(home):  # noqa: ASYNC110 - it ends by itself, and tells nobody
            await trio.sleep(LOOK_AGAIN_SECONDS)


def test_a_missing_server_skips_a_test_and_fails_it_where_servers_are_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUIRE_SERVERS", "0")
    with pytest.raises(pytest.skip.Exception, match="apt-get install no-package"):
        servers.require_program("no-such-program", "no-package")
    monkeypatch.setenv("REQUIRE_SERVERS", "1")
    with pytest.raises(pytest.fail.Exception, match="apt-get install no-package"):
        servers.require_program("no-such-program", "no-package")
