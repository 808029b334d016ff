"""Signing on, and where the service sends us."""

import pytest
import trio
from trio.testing import MockClock

from gateway.errors import ConnectionLost, RemoteProtocolError
from gateway.networks.base import (
    Account,
    AddContact,
    AddResult,
    ChangeContact,
    CommandDone,
    CommandFailed,
    Contact,
    ContactList,
    LoginRefused,
    Reason,
    Refusal,
    RemoveContact,
)
from tests.contract.harness import all_tasks, no_challenge
from tests.fakes.oscar_server import (
    COOKIE,
    Connection,
    Heard,
    h,
    name8,
    tlv,
)
from tests.unit.networks.oscar_scene import (
    ROMEO,
    SEEN,
    aim,
    ask_of,
    enter,
    signed_on,
)

# --- signing on -------------------------------------------------------------------------------


async def test_the_list_comes_first_with_names_and_groups(autojump_clock: MockClock) -> None:
    async with (
        aim() as scene,
        scene.network.sign_on(scene.account, no_challenge) as client,
    ):
        listed = await client.receive()
        assert listed == ContactList((Contact("juliet", "Jule", ("Buddies",), SEEN),))
        assert (client.own_address, client.display_name) == ("romeo", "Ro Meo")
        assert client.capabilities == scene.network.description.capabilities


async def test_a_sign_on_says_what_it_has_to_in_order(autojump_clock: MockClock) -> None:
    async with aim() as scene, signed_on(scene):
        await scene.server.hear(4, 0x10)
        said = [(one.group, one.subtype) for one in scene.server.heard]
    assert said[:4] == [(0, 1), (0x17, 6), (0x17, 2), (0, 1)]
    assert said[4:8] == [(1, 0x17), (1, 6), (1, 8), (1, 0x0E)]
    assert said[8:14] == [(2, 2), (3, 2), (4, 4), (9, 2), (0x13, 2), (0x13, 4)]
    shown = [(4, 2), (2, 4), (0x13, 7), (1, 0x1E), (1, 0x11), (1, 2), (1, 0x0E)]
    assert said[14:] == [*shown, (4, 0x10)]
    subscribed = scene.server.said(1, 8)[0]
    assert subscribed.body == h("0001 0003")
    [_, bos] = scene.server.said(0, 1)
    assert bos.tlvs(4) == {6: COOKIE, 0x4A: b"\x01"}
    assert scene.server.said(4, 2)[0].body == h("0000 0000010b 1f40 03e7 03e7 00000000")


async def test_leaving_says_goodbye_and_leaves_nothing(autojump_clock: MockClock) -> None:
    async with aim() as scene:
        before = all_tasks()
        async with signed_on(scene):
            pass
        await trio.testing.wait_all_tasks_blocked()
        assert scene.server.said(0, 4)[-1].body == b""
        assert scene.server.connections == []
        assert all_tasks() == before


@pytest.mark.parametrize("login", ["md5", "md5-old", "roasted"])
async def test_each_login_is_taken(autojump_clock: MockClock, login: str) -> None:
    async with aim(login=login) as scene, signed_on(scene):
        assert (0x4C in (scene.server.said(0x17, 2) or [Heard(0, 0, 0, b"", 0)])[0].tlvs()) is (
            login == "md5"
        )


@pytest.mark.parametrize("login", ["md5", "md5-old", "roasted"])
@pytest.mark.parametrize("account", [Account("romeo", "wrong"), Account("nobody", "x")])
async def test_wrong_credentials_are_refused(
    autojump_clock: MockClock, login: str, account: Account
) -> None:
    async with aim(login=login) as scene:
        for attempt in (scene.network.check(account, no_challenge), enter(scene, account)):
            with pytest.raises(LoginRefused) as refused:
                await attempt
            assert refused.value.reason is Refusal.WRONG_CREDENTIALS
        await trio.testing.wait_all_tasks_blocked()
        assert scene.server.connections == []


@pytest.mark.parametrize("login", ["md5", "roasted"])
async def test_a_check_signs_nobody_on(autojump_clock: MockClock, login: str) -> None:
    async with aim(login=login) as scene:
        assert await scene.network.check(ROMEO, no_challenge) is True
        assert len(scene.server.dialled) == 1


CODES = [
    (0x02, Refusal.BUSY, None),
    (0x05, Refusal.WRONG_CREDENTIALS, None),
    (0x08, Refusal.UNKNOWN_ACCOUNT, None),
    (0x11, Refusal.SUSPENDED, None),
    (0x18, Refusal.TOO_MANY_ATTEMPTS, 600),
    (0x1B, Refusal.FORBIDDEN, None),
    (0x1D, Refusal.TOO_MANY_ATTEMPTS, 600),
    (0x7777, Refusal.BUSY, None),
]


@pytest.mark.parametrize(("code", "reason", "retry"), CODES)
@pytest.mark.parametrize("how", ["17/03", "channel 4", "at BOS", "one byte at BOS"])
async def test_each_refusal_is_told_wherever_it_comes(
    autojump_clock: MockClock, code: int, reason: Refusal, retry: float | None, how: str
) -> None:
    one_byte = how == "one byte at BOS"
    refusal = tlv(8, code.to_bytes(1 if one_byte and code < 256 else 2, "big"))

    async def refuse(connection: Connection, heard: Heard) -> None:
        if "BOS" in how and 6 not in heard.tlvs(4):
            await scene.server._signed_on(connection, heard)
        elif how == "17/03":
            await connection.snac(0x17, 3, refusal, 0)
        else:
            await connection.flap(4, refusal)

    async with aim() as scene:
        scene.server.script[0, 1] = refuse
        with pytest.raises(LoginRefused) as refused:
            await enter(scene, ROMEO)
        assert (refused.value.reason, refused.value.retry_after) == (reason, retry)
        assert refused.value.text


async def test_a_login_that_ends_without_a_word_is_a_lost_connection(
    autojump_clock: MockClock,
) -> None:
    async def end(connection: Connection, heard: Heard) -> None:
        await connection.flap(4, b"")

    async with aim() as scene:
        scene.server.script[0x17, 6] = end
        with pytest.raises(ConnectionLost):
            await scene.network.check(ROMEO, no_challenge)
        scene.server.refuses = True
        with pytest.raises(ConnectionLost):
            await enter(scene, ROMEO)


async def test_a_service_that_falls_silent_at_any_step_is_given_up(
    autojump_clock: MockClock,
) -> None:
    async def ignore(connection: Connection, heard: Heard) -> None:
        pass

    steps = [(0, 1), (0x17, 6), (0x17, 2), (1, 0x17), (1, 6), (0x13, 4)]
    for step in steps:
        async with aim() as scene:
            scene.server.script[step] = ignore
            start = trio.current_time()
            with pytest.raises(ConnectionLost):
                await enter(scene, ROMEO)
            assert trio.current_time() - start <= 66
            await trio.testing.wait_all_tasks_blocked()
            assert scene.server.connections == []


async def test_rights_nobody_tells_cost_time_alone(autojump_clock: MockClock) -> None:
    async def refuse(connection: Connection, heard: Heard) -> None:
        await connection.snac(heard.group, 1, "0001", heard.request)

    async def ignore(connection: Connection, heard: Heard) -> None:
        pass

    async with aim() as scene:
        scene.server.script[9, 2] = refuse
        scene.server.script[3, 2] = ignore
        async with signed_on(scene):
            assert trio.current_time() == 30


async def test_a_list_that_is_refused_is_not_taken_for_empty(autojump_clock: MockClock) -> None:
    async def refuse(connection: Connection, heard: Heard) -> None:
        await connection.snac(0x13, 1, "0005", heard.request)

    async with aim() as scene:
        scene.server.script[0x13, 4] = refuse
        with pytest.raises(ConnectionLost, match="refuses the contact list"):
            await enter(scene, ROMEO)


async def test_a_service_without_feedbag_can_do_less(autojump_clock: MockClock) -> None:
    async with aim() as scene:
        scene.server.groups = "0001 0002 0003 0004 0009"
        async with signed_on(scene) as client:
            assert not client.capabilities.groups
            assert not client.capabilities.block
            add = AddContact(ref="a", address="juliet")
            assert (await ask_of(client, add, CommandDone)).result is AddResult.GRANTED
            assert (await scene.server.hear(3, 4)).body == name8("juliet")
            gone = RemoveContact(ref="r", address="juliet")
            await ask_of(client, gone, CommandDone)
            change = ChangeContact(ref="c", address="juliet", name="J")
            failed = await ask_of(client, change, CommandFailed)
            assert failed.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize("code", [h("18"), h("0018")])
async def test_a_cookie_refused_late_is_tried_again(autojump_clock: MockClock, code: bytes) -> None:
    """A login in front of a slow start: the cookie is too old when it is looked at."""

    async def late(connection: Connection, heard: Heard) -> None:
        if 6 not in heard.tlvs(4):
            await scene.server.usual(0, 1)(connection, heard)
            return
        await trio.sleep(50)
        await connection.flap(4, tlv(8, code))
        await connection.close()

    async with aim() as scene:
        scene.server.script[0, 1] = late
        with pytest.raises(LoginRefused) as refused:
            await enter(scene, ROMEO)
        assert refused.value.reason is Refusal.TOO_MANY_ATTEMPTS
        del scene.server.script[0, 1]
        async with signed_on(scene):
            pass


# --- where the service sends us ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "settings", "where"),
    [
        (b"oscar.example:5191", {}, "oscar.example:5191"),
        (b"OSCAR.example", {"port": 4000}, "oscar.example:4000"),
        (b"10.1.2.3:5190", {"allow_hosts": ("10.1.2.3",)}, "10.1.2.3:5190"),
        (b"[fe80::1]:5190", {"allow_hosts": ("fe80:0::1",)}, "[fe80:0::1]:5190"),
        (b"10.1.2.3:5190", {"redirect": "ignore"}, "oscar.example:5190"),
        (b"10.1.2.3:5190", {"tls": "on"}, "oscar.example:5190"),
        (b"", {}, "oscar.example:5190"),
    ],
)
async def test_the_session_is_where_the_login_says_and_the_operator_allows(
    autojump_clock: MockClock, told: bytes, settings: dict[str, object], where: str
) -> None:
    async with aim(**settings) as scene:
        scene.server.bos_address = told
        async with signed_on(scene):
            assert str(scene.server.dialled[-1]) == where
            assert scene.server.dialled[-1].tls is (settings.get("tls") == "on")


@pytest.mark.parametrize("told", [b"oscar.example:x", b":1"])
async def test_what_is_no_address_is_not_dialled(autojump_clock: MockClock, told: bytes) -> None:
    async with aim() as scene:
        scene.server.bos_address = told
        with pytest.raises(RemoteProtocolError):
            await enter(scene, ROMEO)
        assert len(scene.server.dialled) == 1


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]


@pytest.mark.parametrize(
    ("told", "settings", "remedy"),
    [
        (b"10.1.2.3:5190", {}, 'allow_hosts = ["10.1.2.3"], or redirect = "ignore"'),
        (b"evil.example", {}, 'allow_hosts = ["evil.example"], or redirect = "ignore"'),
        (b"oscar.example:9", {"tls": "on", "redirect": "follow"}, 'set redirect = "ignore"'),
    ],
)
async def test_a_redirect_not_allowed_is_the_operators_matter(
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
    told: bytes,
    settings: dict[str, object],
    remedy: str,
) -> None:
    async with aim(**settings) as scene:
        scene.server.bos_address = told
        for _ in range(3):
            with pytest.raises(LoginRefused) as refused:
                await enter(scene, ROMEO)
            assert refused.value.reason is Refusal.MISCONFIGURED
            assert not refused.value.reason.passes
        with pytest.raises(LoginRefused):
            await scene.network.check(ROMEO, no_challenge)
        assert len(scene.server.dialled) == 4  # the logins
        [said] = errors_in(caplog)
        assert remedy in said


async def test_logged_redirects_are_bounded(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with aim() as scene:
        for number in range(60):
            scene.server.bos_address = b"10.1.2.%d:5190\r\nx" % number
            with pytest.raises((LoginRefused, RemoteProtocolError)):
                await enter(scene, ROMEO)
            scene.server.bos_address = b"%d.evil.example\n" % number * 1_000
            with pytest.raises(LoginRefused):
                await enter(scene, ROMEO)
        said = errors_in(caplog)
    assert 0 < len(said) <= 20
    assert all("\n" not in one and len(one) < 500 for one in said)


async def test_the_client_says_that_it_takes_html(autojump_clock: MockClock) -> None:
    # Else Open OSCAR Server removes tags, and bytes of letters, from what numbers write to it.
    async with aim() as scene, signed_on(scene):
        said = scene.server.said(2, 4)[0].tlvs()
        assert h("094600024c7f11d18222444553540000") in said[5]
