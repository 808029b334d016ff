"""What a login costs: which attempts count for a server's limit, and which cookie is used again."""

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.errors import ConnectionLost, Unreached
from gateway.networks.base import Account, LoginLimit, LoginRefused
from gateway.networks.oscar import LOGIN_SECONDS, TICKET_SECONDS
from tests.contract.harness import no_challenge
from tests.fakes.oscar_server import Connection, Heard, h, tlv
from tests.unit.networks.oscar_scene import ROMEO, Scene, aim, enter, signed_on

OOS: dict[str, object] = {"preset": "open-oscar-server"}
LIMIT = LoginLimit("oscar.example:5190", 10, LOGIN_SECONDS)


def logins(scene: Scene) -> int:
    return len(scene.server.said(0x17, 0x02))


async def refuse_cookie(connection: Connection, heard: Heard) -> None:
    assert 6 in heard.tlvs(4)
    await connection.flap(4, tlv(8, h("18")))


async def test_preset_names_the_limit_of_its_server(autojump_clock: MockClock) -> None:
    async with aim(**OOS) as scene:
        assert scene.network.login_limit(ROMEO) == LIMIT
    async with aim(**OOS, logins_a_minute=3) as scene:
        assert scene.network.login_limit(ROMEO) == attrs.evolve(LIMIT, logins=3)
    async with aim() as scene:
        assert scene.network.login_limit(ROMEO) is None


async def test_sign_on_after_check_is_no_login(autojump_clock: MockClock) -> None:
    async with aim(**OOS) as scene:
        assert await scene.network.check(ROMEO, no_challenge)
        await trio.sleep(TICKET_SECONDS - 1)
        assert scene.network.login_limit(ROMEO) is None
        async with signed_on(scene):
            assert logins(scene) == 1
        assert scene.network.login_limit(ROMEO) == LIMIT
        async with signed_on(scene):
            assert logins(scene) == 2


async def test_old_cookie_is_not_used(autojump_clock: MockClock) -> None:
    async with aim(**OOS) as scene:
        await scene.network.check(ROMEO, no_challenge)
        await trio.sleep(TICKET_SECONDS)
        assert scene.network.login_limit(ROMEO) == LIMIT
        async with signed_on(scene):
            assert logins(scene) == 2


@pytest.mark.parametrize(
    "other", [attrs.evolve(ROMEO, secret="another"), Account("juliet", ROMEO.secret)], ids=str
)
async def test_cookie_is_for_its_credentials_alone(
    autojump_clock: MockClock, other: Account
) -> None:
    async with aim(**OOS) as scene:
        await scene.network.check(ROMEO, no_challenge)
        assert scene.network.login_limit(other) == LIMIT
        with pytest.raises(LoginRefused):
            await enter(scene, other)


async def test_refused_cookie_leads_to_another_login(autojump_clock: MockClock) -> None:
    async with aim(**OOS) as scene:
        await scene.network.check(ROMEO, no_challenge)
        scene.server.script[0, 1] = refuse_cookie
        with pytest.raises(ConnectionLost, match="does not take the cookie any more"):
            await enter(scene, ROMEO)
        del scene.server.script[0, 1]
        assert scene.network.login_limit(ROMEO) == LIMIT
        async with signed_on(scene):
            assert logins(scene) == 2


async def test_login_at_a_dead_server_does_not_count(autojump_clock: MockClock) -> None:
    async with aim(**OOS) as scene:
        scene.server.refuses = True
        for attempt in (scene.network.check(ROMEO, no_challenge), enter(scene, ROMEO)):
            with pytest.raises(Unreached):
                await attempt


@pytest.mark.parametrize("greets", [True, False])
async def test_login_counts_once_the_server_has_greeted(
    autojump_clock: MockClock, greets: bool
) -> None:
    async with aim(**OOS, sign_on_seconds=5.0) as scene:
        scene.server.silent = True
        scene.server.greetings = None if greets else 0
        with pytest.raises(ConnectionLost) as lost:
            await scene.network.check(ROMEO, no_challenge)
        assert isinstance(lost.value, Unreached) is not greets
