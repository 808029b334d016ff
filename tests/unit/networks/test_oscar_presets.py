"""What operators choose: presets, several sign-ons."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import attrs
import pytest
from trio.testing import MockClock

from gateway.errors import ConfigurationError
from gateway.host import RealHost
from gateway.networks.base import (
    Account,
    CommandDone,
    LoginLimit,
    LoginRefused,
    MessageOutcome,
    MessageReceived,
    PresenceChanged,
    Reason,
    Refusal,
    SendMessage,
    SetPresence,
    Show,
    Stage,
)
from gateway.networks.oscar import LOGIN_SECONDS, Aim
from gateway.networks.oscar.settings import (
    PRESETS,
    AimServer,
    AimSettings,
    IcqServer,
    preset_of,
)
from gateway.strict import structure
from tests.contract.harness import next_event, no_challenge
from tests.fakes.oscar_server import Connection, Heard, h, im, item, tlv, user
from tests.unit.networks.oscar_scene import (
    NUMBER,
    ROMEO,
    Scene,
    aim,
    ask_of,
    enter,
    icq,
    signed_on,
)

# --- presets ----------------------------------------------------------------------------------


async def test_open_oscar_server_is_asked_for_kept_messages_in_one_way(
    autojump_clock: MockClock,
) -> None:
    async with icq(preset="open-oscar-server") as scene, signed_on(scene):
        assert (await scene.server.hear(0x15, 2)).body[10:12] == h("3c00")
        assert scene.server.said(4, 0x10) == []
    async with icq() as scene, signed_on(scene):
        await scene.server.hear(0x15, 2)
        assert len(scene.server.said(4, 0x10)) == 1


OOS: dict[str, object] = {"preset": "open-oscar-server"}
OOS_23: dict[str, object] = {"preset": "open-oscar-server-0.23"}


@pytest.mark.parametrize(
    ("settings", "to", "body", "stage"),
    [
        (OOS_23, "10002", "0004", Stage.ACCEPTED),  # on the list, and offline
        (OOS_23, "10003", "0004", Stage.FAILED),  # there to be seen: he blocks us
        (OOS_23, "10004", "0004", Stage.UNKNOWN),  # has not agreed to be seen
        (OOS_23, "10005", "0004", Stage.UNKNOWN),  # a stranger
        (OOS_23, "10002", "0004 0008 0002 000f", Stage.FAILED),
        (OOS_23, "10002", "000a", Stage.FAILED),
        (OOS, "10002", "0004", Stage.FAILED),  # it acknowledges what it keeps
        (OOS, "10005", "0004", Stage.FAILED),
        ({}, "10002", "0004", Stage.FAILED),
    ],
)
async def test_code_four_means_kept_before_v_0_24(
    autojump_clock: MockClock, settings: dict[str, object], to: str, body: str, stage: Stage
) -> None:
    async def refuse(connection: Connection, heard: Heard) -> None:
        await connection.snac(4, 1, body, heard.request)

    async with icq(**settings) as scene:
        scene.server.feedbag += [item("10002", 1, 7, 0), item("10003", 1, 8, 0)]
        scene.server.feedbag.append(item("10004", 1, 9, 0, h("0066 0000")))
        scene.server.script[4, 6] = refuse
        async with signed_on(scene) as client:
            await scene.server.bos.snac(3, 0x0B, user("10003", tlv(1, h("0050"))))
            await next_event(client, PresenceChanged)
            text = "word " * 1_000 if stage is Stage.ACCEPTED else "Hi"
            message = SendMessage(ref="m", conversation=to, text=text)
            assert (await ask_of(client, message, MessageOutcome)).stage is stage


async def test_an_acknowledgement_shows_a_newer_server(autojump_clock: MockClock) -> None:
    async def refuse(connection: Connection, heard: Heard) -> None:
        await connection.snac(4, 1, "0004", heard.request)

    async with icq(**OOS_23) as scene:
        scene.server.feedbag += [item("10002", 1, 7, 0), item("10003", 1, 8, 0)]
        async with signed_on(scene) as client:
            await scene.server.bos.snac(3, 0x0B, user("10003"))
            await next_event(client, PresenceChanged)
            for to, stage in (("10003", Stage.ACCEPTED), ("10002", Stage.FAILED)):
                # Somebody online is acknowledged by every server; who is offline, since v0.24.
                scene.server.script.pop((4, 6), None)
                message = SendMessage(ref="m", conversation=to, text="Hi")
                assert (await ask_of(client, message, MessageOutcome)).stage is Stage.ACCEPTED
                scene.server.script[4, 6] = refuse
                message = SendMessage(ref="m", conversation="10002", text="Hi")
                assert (await ask_of(client, message, MessageOutcome)).stage is stage


async def test_open_oscar_server_tells_screen_names_what_it_keeps(
    autojump_clock: MockClock,
) -> None:
    async def refuse(connection: Connection, heard: Heard) -> None:
        await connection.snac(4, 1, "0004", heard.request)

    async with aim(**OOS) as scene, signed_on(scene) as client:
        scene.server.script[4, 6] = refuse
        message = SendMessage(ref="m", conversation="juliet", text="Hi")
        outcome = await ask_of(client, message, MessageOutcome)
        assert (outcome.stage, outcome.reason) == (Stage.FAILED, Reason.OFFLINE_NOT_STORED)


@pytest.mark.parametrize(
    ("network", "settings", "kind", "data"),
    [
        (aim, OOS, b"us-ascii", b"<HTML><BODY>caf&#233; &lt;3 &#128514;</BODY></HTML>"),
        (icq, OOS, b"utf-8", "caf\xe9 <3 \U0001f602".encode()),
        (icq, {}, b"unicode-2-0", "caf\xe9 <3 \U0001f602".encode("utf-16-be")),
    ],
)
async def test_open_oscar_server_forgets_the_charset_of_away_texts(
    autojump_clock: MockClock,
    network: Callable[..., AbstractAsyncContextManager[Scene]],
    settings: dict[str, object],
    kind: bytes,
    data: bytes,
) -> None:
    async with network(**settings) as scene, signed_on(scene) as client:
        text = "caf\xe9 <3 \U0001f602"
        await ask_of(client, SetPresence(ref="p", show=Show.AWAY, text=text), CommandDone)
        said = scene.server.said(2, 4)[-1].tlvs()
        assert said[4] == data
        assert b'charset="' + kind + b'"' in said[3]


async def test_open_oscar_server_says_to_wait_a_minute(autojump_clock: MockClock) -> None:
    async def refuse(connection: Connection, heard: Heard) -> None:
        await connection.snac(0x17, 3, tlv(8, h("001d")), 0)

    async with aim(**OOS) as scene:
        scene.server.script[0, 1] = refuse
        with pytest.raises(LoginRefused) as refused:
            await enter(scene, ROMEO)
        assert refused.value.reason is Refusal.TOO_MANY_ATTEMPTS
        assert refused.value.retry_after == 60


async def test_an_old_icq_server_gets_the_old_login(autojump_clock: MockClock) -> None:
    settings = {"preset": "icq-only", "cut_password": True}
    async with icq(**settings) as scene, signed_on(scene):
        assert scene.server.said(0x17, 6) == []
        assert scene.server.said(0, 1)[0].tlvs(4)[1] == b"10001"
        assert scene.server.said(4, 0x10) == []
    async with icq(**settings) as scene:
        scene.account = Account("10001", "montague and what is cut")
        async with signed_on(scene):
            pass


@pytest.mark.parametrize(("several", "flag"), [(True, b"\1"), (False, b"\3")])
async def test_several_sign_ons_are_the_operators_choice(
    autojump_clock: MockClock, several: bool, flag: bytes
) -> None:
    async with aim(several_sign_ons=several) as scene, signed_on(scene) as client:
        assert client.capabilities.several_sign_ons is several
        assert scene.server.said(0x17, 2)[0].tlvs()[0x4A] == flag
        assert scene.server.said(0, 1)[1].tlvs(4)[0x4A] == flag


async def test_no_secret_is_in_what_is_logged(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with aim() as scene, signed_on(scene) as client:
        await client.send(SendMessage(ref="m", conversation="juliet", text="sweet sorrow"))
        await scene.server.bos.snac(4, 7, im("Juliet", b"parting"))
        await scene.server.bos.snac(4, 7, im("\x01", b"parting"))
        await next_event(client, MessageReceived)
        secrets = repr([scene.network, scene.account, client])
    for word in ("montague", "sweet sorrow", "parting"):
        assert word not in secrets
        assert word not in caplog.text


# --- a choice of servers ----------------------------------------------------------------------

OTHER = AimServer(host="other.example", name="Other", tls="on", preset="open-oscar-server")


async def test_users_choose_among_the_servers_the_operator_offers(
    autojump_clock: MockClock,
) -> None:
    async with aim(name="Usual", server=(OTHER,)) as scene:
        [choice] = [one for one in scene.network.description.fields if one.options]
        assert (choice.options, choice.default) == (("Usual", "Other"), "Usual")
        assert not choice.required
        for chosen in ({}, {choice.name: ""}, {choice.name: "Usual"}):
            scene.account = attrs.evolve(ROMEO, fields=chosen)
            async with signed_on(scene):
                assert {str(one) for one in scene.server.dialled} == {"oscar.example:5190"}
        scene.server.dialled.clear()
        scene.account = attrs.evolve(ROMEO, fields={choice.name: "Other"})
        async with signed_on(scene):
            assert [(one.host, one.port, one.tls) for one in scene.server.dialled] == [
                ("other.example", 5193, True)
            ] * 2
        assert scene.network.service_name == "oscar.example:5190, other.example:5193"


async def test_a_server_that_is_offered_no_longer_is_refused(autojump_clock: MockClock) -> None:
    async with aim(server=(OTHER,)) as scene:
        gone = attrs.evolve(ROMEO, fields={"x-server": "Gone"})
        for attempt in (scene.network.check(gone, no_challenge), enter(scene, gone)):
            with pytest.raises(LoginRefused, match="'Gone' is offered no longer") as refused:
                await attempt
            assert refused.value.reason is Refusal.FORBIDDEN
        assert scene.server.dialled == []


async def test_each_server_has_its_own_ways(autojump_clock: MockClock) -> None:
    old = IcqServer(host="old.example", tls="off", preset="icq-only", cut_password=True)
    async with icq(server=(old,), logins_a_minute=1) as scene:
        scene.server.bos_address = b""
        limit = LoginLimit("oscar.example:5190", 1, LOGIN_SECONDS)
        assert scene.network.login_limit(NUMBER) == limit
        there = {"x-server": "old.example"}
        scene.account = Account("10001", "montague and what is cut", there)
        assert scene.network.login_limit(scene.account) is None
        async with signed_on(scene):
            assert scene.server.said(0x17, 6) == []
            assert scene.server.said(4, 0x10) == []


def test_one_server_is_no_choice() -> None:
    network = Aim(RealHost(), AimSettings(host="oscar.example", tls="off"))
    assert network.description is Aim.description
    assert not any(one.options for one in network.description.fields)


@pytest.mark.parametrize(
    ("name", "others", "said"),
    [
        ("Other", (OTHER,), 'two servers are called "Other".* give each a name'),
        ("", (AimServer(host="oscar.example", tls="on"),), "two servers are called"),
        ("", (OTHER, OTHER), 'two servers are called "Other"'),
        (" ", (), "without blanks"),
    ],
)
def test_servers_are_told_apart_by_name(
    name: str, others: tuple[AimServer, ...], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        AimSettings(host="oscar.example", tls="off", name=name, server=others)


HOST = 'a host name or an IP address alone, as in "chat.example.org", without a port'


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"host": "oscar.example:5190"}, f'host: found "oscar.example:5190", expected {HOST}'),
        (
            {"host": "oscar://oscar.example"},
            f'host: found "oscar://oscar.example", expected {HOST}',
        ),
        ({"host": "[::1]"}, f'host: found "[::1]", expected {HOST}'),
        ({"host": " oscar.example"}, f'host: found " oscar.example", expected {HOST}'),
        ({"host": ""}, f'host: found "", expected {HOST}'),
        ({"allow_hosts": ["a", "b:1"]}, f'allow_hosts: found "b:1", expected {HOST}'),
        ({"port": 65_536}, "port: found 65536, expected a number from 1 to 65535"),
        ({"port": 0}, "port: found 0, expected a number from 1 to 65535"),
        ({"code_page": "base64"}, 'code_page: found "base64", expected a charset, as in "cp1251"'),
        (
            {"code_page": "klingon"},
            'code_page: found "klingon", expected a charset, as in "cp1251"',
        ),
        (
            {"ping_seconds": 0},
            "ping_seconds: found 0.0, expected a number of seconds above 0 and below a day",
        ),
        ({"logins_a_minute": -1}, "logins_a_minute: found -1, expected 0 or more"),
        (
            {"preset": "icq-only"},
            'preset: found "icq-only", expected "plain" or "open-oscar-server" or'
            ' "open-oscar-server-0.23"',
        ),
        (
            {"server": {"host": "b", "tls": "off"}},
            "server: found a table, expected a list of tables, the header of each in double"
            " brackets: [[ ]]",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_key(table: dict[str, object], said: str) -> None:
    given = {"host": "oscar.example", "tls": "off", **table}
    with pytest.raises(ConfigurationError) as caught:
        structure(given, AimSettings, "service", Path())
    assert str(caught.value) == f"service.{said}"


@pytest.mark.parametrize("host", ["oscar.example", "10.0.0.1", "::1", "fe80::1%eth0", "localhost"])
def test_hosts_are_names_and_addresses(host: str) -> None:
    made = structure(
        {"host": host, "tls": "off", "allow_hosts": [host]}, AimSettings, "service", Path()
    )
    assert (made.host, made.allow_hosts) == (host, (host,))


def test_servers_are_configured_by_tables_of_their_own() -> None:
    table = {"host": "a", "tls": "off", "preset": "open-oscar-server"}
    other = {"host": "b", "tls": "on"}
    made = structure({**table, "server": [other]}, AimSettings, "service", Path())
    assert [(one.title, preset_of(one)) for one in (made, *made.others)] == [
        ("a", PRESETS["open-oscar-server"]),
        ("b", PRESETS["plain"]),
    ]
    for wrong, said in (
        ({"host": "b"}, r"service\.server\[0\]\.tls: missing"),
        ({**other, "cut_password": True}, r"service\.server\[0\]\.cut_password: unknown"),
        ({**other, "preset": "icq-only"}, r"service\.server\[0\]\.preset: found"),
        ({**other, "port": 0}, r"service\.server\[0\]\.port: found 0"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            structure({**table, "server": [wrong]}, AimSettings, "service", Path())
