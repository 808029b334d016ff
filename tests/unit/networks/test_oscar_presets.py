"""What operators choose: presets, several sign-ons."""

import pytest
import trio
from trio.testing import MockClock

from gateway.networks.base import (
    Account,
    LoginRefused,
    MessageReceived,
    Refusal,
    SendMessage,
)
from tests.contract.harness import next_event, no_challenge
from tests.fakes.oscar_server import (
    h,
    im,
)
from tests.unit.networks.oscar_scene import (
    ROMEO,
    aim,
    icq,
    signed_on,
)

# --- presets ----------------------------------------------------------------------------------


async def test_open_oscar_server_is_not_overrun_by_logins(autojump_clock: MockClock) -> None:
    async with aim(preset="open-oscar-server") as scene:
        for _ in range(10):
            await scene.network.check(ROMEO, no_challenge)
        with pytest.raises(LoginRefused) as refused:
            await scene.network.check(ROMEO, no_challenge)
        assert refused.value.reason is Refusal.BUSY
        wait = refused.value.retry_after
        assert wait is not None
        assert 0 < wait <= 60
        await trio.sleep(wait)
        await scene.network.check(ROMEO, no_challenge)
        with pytest.raises(LoginRefused):
            await scene.network.check(ROMEO, no_challenge)
        assert len(scene.server.said(0x17, 2)) == 11


async def test_open_oscar_server_is_asked_for_kept_messages_in_one_way(
    autojump_clock: MockClock,
) -> None:
    async with icq(preset="open-oscar-server") as scene, signed_on(scene):
        assert (await scene.server.hear(0x15, 2)).body[10:12] == h("3c00")
        assert scene.server.said(4, 0x10) == []
    async with icq() as scene, signed_on(scene):
        await scene.server.hear(0x15, 2)
        assert len(scene.server.said(4, 0x10)) == 1


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
