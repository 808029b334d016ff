"""Contract: signing on, checking credentials, and every way they can fail."""

import pytest
import trio
from trio.testing import MockClock

from gateway.errors import ConnectionLost, RemoteProtocolError
from gateway.networks.base import Account, ContactList, LoginRefused, Refusal, SendMessage
from tests.contract.harness import (
    Harness,
    next_event,
    no_challenge,
    nothing_left,
    sign_on,
)


async def test_inside_the_context_the_account_is_signed_on(harness: Harness) -> None:
    account = harness.account("romeo")
    async with nothing_left(harness), sign_on(harness, account) as client:
        assert client.own_address == "romeo" == harness.network.canonical(client.own_address)
        assert client.display_name
        assert harness.connections() == 1
        await next_event(client, ContactList)


async def test_the_clients_capabilities_are_within_the_networks(harness: Harness) -> None:
    told = harness.network.description.capabilities
    async with sign_on(harness, harness.account("romeo")) as client:
        for name in type(told).__annotations__:
            assert getattr(told, name) >= getattr(client.capabilities, name)


async def test_checking_right_credentials_signs_nobody_on(harness: Harness) -> None:
    account = harness.account("romeo")
    async with nothing_left(harness), sign_on(harness, account) as client:
        await harness.network.check(account, no_challenge)
        await next_event(client, ContactList)
        harness.account("juliet")
        harness.say("juliet", "romeo", "Are you still there?")
        await client.receive()  # the check has not pushed out who was there


@pytest.mark.parametrize("name", ["romeo", "nobody"])
async def test_wrong_credentials_are_refused(harness: Harness, name: str) -> None:
    harness.account("romeo")
    expected = {Refusal.WRONG_CREDENTIALS}
    if name == "nobody":  # some services do not say which it was
        expected.add(Refusal.UNKNOWN_ACCOUNT)
    account = Account(name, "no such password")
    async with nothing_left(harness):
        with pytest.raises(LoginRefused) as refused:
            async with sign_on(harness, account):
                pytest.fail("signed on")
        assert refused.value.reason in expected
        with pytest.raises(LoginRefused) as unchecked:
            await harness.network.check(account, no_challenge)
        assert unchecked.value.reason is refused.value.reason


@pytest.mark.parametrize("reason", [one for one in Refusal if one is not Refusal.MISCONFIGURED])
async def test_each_refusal_is_told(harness: Harness, reason: Refusal) -> None:
    account = harness.account("romeo")
    async with nothing_left(harness):
        harness.refuse(reason, retry_after=7.5)
        with pytest.raises(LoginRefused) as refused:
            async with sign_on(harness, account):
                pytest.fail("signed on")
        assert (refused.value.reason, refused.value.retry_after) == harness.told(reason, 7.5)
        harness.refuse(reason)
        with pytest.raises(LoginRefused) as refused:
            await harness.network.check(account, no_challenge)
        assert (refused.value.reason, refused.value.retry_after) == harness.told(reason, None)


async def test_a_service_that_hangs_up_at_once_is_a_lost_connection(harness: Harness) -> None:
    account = harness.account("romeo")
    harness.hang_up_at_connect()
    async with nothing_left(harness):
        with pytest.raises(ConnectionLost):
            async with sign_on(harness, account):
                pytest.fail("signed on")
        with pytest.raises(ConnectionLost):
            await harness.network.check(account, no_challenge)


async def test_a_service_that_hangs_up_at_sign_on_is_a_lost_connection(harness: Harness) -> None:
    account = harness.account("romeo")
    harness.hang_up_at_sign_on()
    async with nothing_left(harness):
        with pytest.raises(ConnectionLost):
            async with sign_on(harness, account):
                pytest.fail("signed on")
        with pytest.raises(ConnectionLost):
            await harness.network.check(account, no_challenge)


@pytest.mark.parametrize("how", ["fall_silent", "stop_reading"])
async def test_a_service_that_is_stuck_is_given_up(
    timed: Harness, autojump_clock: MockClock, how: str
) -> None:
    account = timed.account("romeo")
    getattr(timed, how)()
    start = trio.current_time()
    with pytest.raises(ConnectionLost):
        async with sign_on(timed, account):
            pytest.fail("signed on")
    assert trio.current_time() - start < 120
    timed.heal()
    async with nothing_left(timed), sign_on(timed, account):
        pass


async def test_exceptions_of_the_body_pass_through_as_they_are(harness: Harness) -> None:
    account = harness.account("romeo")
    mine = ZeroDivisionError("mine")
    async with nothing_left(harness):
        with pytest.raises(ZeroDivisionError) as raised:
            async with sign_on(harness, account):
                raise mine
        assert raised.value is mine
        group = ExceptionGroup("mine", [mine])
        with pytest.raises(ExceptionGroup) as raised_group:
            async with sign_on(harness, account):
                raise group
        assert raised_group.value is group


async def test_a_service_that_breaks_the_protocol_is_told_so(harness: Harness) -> None:
    async with nothing_left(harness), sign_on(harness, harness.account("romeo")) as client:
        await next_event(client, ContactList)
        harness.garble()
        with pytest.raises(RemoteProtocolError):
            await client.receive()
        with pytest.raises(RemoteProtocolError):
            await client.receive()
        with pytest.raises(RemoteProtocolError):
            await client.send(SendMessage(ref="1", conversation="romeo", text="Hello?"))
