"""The main job, seen from both ends: register, sign on, see each other, talk, sign off."""

import pytest
import trio

from tests.e2e.world import (
    GATEWAY,
    JULIET,
    a_play,
    a_world,
    add,
    available,
    body,
    register,
    registration,
    unavailable,
)

pytestmark = [pytest.mark.servers, pytest.mark.slow]

DEBUG = '[log]\nlevel = "debug"'


async def test_a_user_registers_talks_and_leaves() -> None:
    async with a_world(settings=DEBUG) as world, world.gateway().running() as gateway:
        user = await world.account("romeo")
        password = world.service.emulator.passwords["romeo"]
        async with world.service.user("juliet") as juliet, world.client(user) as romeo:
            await romeo.presence()
            form = await romeo.iq(GATEWAY, '<query xmlns="jabber:iq:register"/>')
            assert form.find("register:query/register:registered") is None
            await register(romeo, password)
            await romeo.expect(available(GATEWAY))
            await juliet.expect("presence", address="romeo", show="online")
            await add(romeo)
            await romeo.expect(available(JULIET))

            await juliet.command("set_presence", show="away", text="on the balcony")
            assert (await romeo.expect(available(JULIET, "away"))).status == "on the balcony"
            await romeo.presence("dnd", "in the orchard")
            await juliet.expect("presence", address="romeo", show="dnd", text="in the orchard")

            await romeo.message(JULIET, chat_state="composing")
            await juliet.expect("typing", sender="romeo", state="composing")
            await romeo.message(JULIET, "Wherefore <art> & thou? ☀", chat_state="active")
            said = await juliet.expect("message", sender="romeo")
            assert said["text"] == "Wherefore <art> & thou? ☀"

            await juliet.command("set_typing", to="romeo", state="composing")
            await romeo.expect(f"message[@from='{JULIET}']/states:composing")
            await juliet.command("send_message", to="romeo", text="Ay me! <\u2764> & more")
            await romeo.expect(body(JULIET, "Ay me! <\u2764> & more"))
            assert await world.gateway().users() == [
                {
                    "component": GATEWAY,
                    "user": "romeo@localhost",
                    "account": "romeo",
                    "state": "online",
                }
            ]

            await romeo.nothing_more("message")
            await romeo.presence(type_="unavailable")
            await juliet.expect("presence", address="romeo", show="offline")
        (row,) = await world.gateway().users()
        assert row["state"] == "offline"
        log = gateway.output()
    assert "DEBUG gateway" in log
    secrets = (password, "Wherefore", "Ay me", world.prosody.components[0].secret)
    assert not any(secret in log for secret in secrets)


async def test_a_wrong_legacy_password_is_refused_and_nothing_is_kept() -> None:
    async with a_world() as world, world.gateway().running():
        user = await world.account("romeo")
        async with world.client(user) as romeo:
            await romeo.presence()
            answer = await romeo.iq(GATEWAY, registration("romeo", "wrong"), "set")
            assert (answer.type, answer.condition) == ("error", "not-acceptable")
            assert "refused this name or password" in answer.text("error/stanzas:text")
            assert await world.gateway().users() == []
            answer = await romeo.iq(GATEWAY, registration("nobody", "x"), "set")
            assert "knows no account" in answer.text("error/stanzas:text")
            await romeo.nothing_more("presence[@type='subscribe']")
            # And the right one is taken after that.
            await register(romeo, world.service.emulator.passwords["romeo"])
            await romeo.expect(available(GATEWAY))


async def test_a_password_is_edited_only_when_the_service_accepts_it() -> None:
    async with a_play() as play:
        world, romeo, juliet = play.world, play.romeo, play.juliet
        form = await romeo.iq(GATEWAY, '<query xmlns="jabber:iq:register"/>')
        assert form.find("register:query/register:registered") is not None
        assert form.text("register:query/register:username") == "romeo"
        assert form.text("register:query/register:password") == ""

        answer = await romeo.iq(GATEWAY, registration("romeo", "wrong"), "set")
        assert answer.condition == "not-acceptable"
        await romeo.message(JULIET, "still here")
        await juliet.expect("message", text="still here")

        await world.service.call("set_password", address="romeo", password="montague")
        answer = await romeo.iq(GATEWAY, registration("romeo", "montague"), "set")
        assert answer.type == "result"
        await romeo.message(JULIET, "here again")
        await juliet.expect("message", text="here again")
        # What is signed on from now on is so with the new one.
        await world.service.call("kick", address="romeo")
        await romeo.expect(unavailable(JULIET))
        await romeo.expect(available(JULIET))


async def test_unregistering_leaves_nothing() -> None:
    async with a_play() as play:
        world, romeo, juliet = play.world, play.romeo, play.juliet
        await romeo.message(JULIET, "a last word")
        remove = '<query xmlns="jabber:iq:register"><remove/></query>'
        assert (await romeo.iq(GATEWAY, remove, "set")).type == "result"
        await juliet.expect("presence", address="romeo", show="offline")
        # It was handed over or returned: one of the two, and nothing else.
        heard = await world.service.count("romeo", "message")
        returned = await romeo.take_all("message[@type='error'][body='a last word']")
        assert heard + len(returned) == 1
        for jid in (JULIET, GATEWAY):
            await romeo.expect(f"presence[@type='unsubscribed'][@from='{jid}']")
        await romeo.expect(unavailable(GATEWAY))
        assert await world.gateway().users() == []
        await romeo.message(JULIET, "anybody there?")
        error = await romeo.expect("message[@type='error']")
        assert (error.from_, error.condition) == (JULIET, "registration-required")
        form = await romeo.iq(GATEWAY, '<query xmlns="jabber:iq:register"/>')
        assert form.find("register:query/register:registered") is None
        again = await romeo.iq(GATEWAY, remove, "set")
        assert again.condition == "registration-required"


async def test_what_was_said_to_an_absent_user_comes_late_and_says_so() -> None:
    async with a_play() as play:
        romeo, juliet = play.romeo, play.juliet
        await romeo.presence(type_="unavailable")
        await juliet.expect("presence", address="romeo", show="offline")
        await juliet.command("send_message", to="romeo", text="come back")
        await juliet.command("send_message", to="romeo", text="soon")
        await romeo.nothing_more("message")
        await romeo.presence()
        for text in ("come back", "soon"):
            came = await romeo.expect("message/body")
            assert (came.body, came.from_) == (text, JULIET)
            assert came.find("delay:delay") is not None
        await juliet.command("send_message", to="romeo", text="there you are")
        live = await romeo.expect(body(JULIET, "there you are"))
        assert live.find("delay:delay") is None
        await romeo.nothing_more("message")


async def test_several_resources_are_one_user_until_the_last_one_leaves() -> None:
    async with a_world() as world, world.gateway().running():
        user = await world.account("romeo")
        async with (
            world.service.user("juliet") as juliet,
            world.client(user) as romeo,
            world.client(user, "mantua") as mantua,
        ):
            await romeo.presence("away", "half here")
            await register(romeo, world.service.emulator.passwords["romeo"])
            await add(romeo)
            await juliet.expect("presence", address="romeo", show="away", text="half here")
            await mantua.presence("dnd", "in exile")
            await juliet.expect("presence", address="romeo", show="dnd", text="in exile")
            await mantua.expect(available(GATEWAY))
            await mantua.expect(available(JULIET))
            assert await world.service.count("romeo", "sign_on") == 1

            await juliet.command("send_message", to="romeo", text="to both")
            await romeo.expect(body(JULIET, "to both"))
            await mantua.message(JULIET, "from exile")
            await juliet.expect("message", text="from exile")

            await mantua.presence(type_="unavailable")
            await juliet.expect("presence", address="romeo", show="away", text="half here")
            await romeo.drop()  # and the last one is not even polite
            await juliet.expect("presence", address="romeo", show="offline")
            assert await world.service.count("romeo", "sign_off") == 1


async def test_a_kick_is_recovered_from_and_what_was_said_meanwhile_arrives() -> None:
    async with a_play() as play:
        world, romeo, juliet = play.world, play.romeo, play.juliet
        await world.service.call("kick", address="romeo")
        await romeo.expect(unavailable(JULIET))
        await romeo.message(JULIET, "held until I am back")
        await juliet.expect("message", text="held until I am back")
        await romeo.expect(available(JULIET))
        await romeo.nothing_more("message")
        assert await world.service.count("romeo", "sign_on") == 2


async def test_a_sign_on_elsewhere_ends_it_until_the_user_comes_back() -> None:
    async with a_play() as play:
        world, romeo = play.world, play.romeo
        async with world.service.user("romeo"):
            await romeo.expect(unavailable(JULIET))
            told = await romeo.expect(f"message[@from='{GATEWAY}']/body")
            assert "signed on somewhere else" in told.body
            await romeo.message(JULIET, "is this lost?")
            error = await romeo.expect("message[@type='error']")
            assert error.from_ == JULIET
        await romeo.presence(type_="unavailable")
        await romeo.presence()
        await romeo.expect(available(JULIET))
        await romeo.nothing_more("message")


async def test_adding_somebody_who_has_to_be_asked() -> None:
    tybalt = f"tybalt@{GATEWAY}"
    async with a_play() as play, play.world.service.user("tybalt") as enemy:
        romeo = play.romeo
        await romeo.presence(type_="subscribe", to=tybalt)
        asked = await enemy.expect("contact_request", address="romeo")
        await romeo.nothing_more(f"presence[@from='{tybalt}']")
        await enemy.command("grant", address=asked["address"])
        await romeo.expect(f"presence[@type='subscribed'][@from='{tybalt}']")
        await romeo.expect(available(tybalt))
        # The other way round.
        await enemy.command("add_contact", address="romeo")
        await romeo.expect(f"presence[@type='subscribe'][@from='{tybalt}']")
        await romeo.presence(type_="subscribed", to=tybalt)
        await enemy.expect("request_answered", address="romeo", granted=True)
        await enemy.expect("presence", address="romeo", show="online")


async def test_a_contact_that_is_removed_is_gone_on_both_sides() -> None:
    async with a_play() as play:
        world, romeo = play.world, play.romeo
        await romeo.iq(
            "",
            f'<query xmlns="jabber:iq:roster"><item jid="{JULIET}" subscription="remove"/></query>',
            "set",
        )
        with trio.fail_after(10):
            while not await world.service.count("romeo", "remove"):
                await romeo.take_all()
        contacts = await world.service.call("contacts", address="romeo")
        assert "Juliet" not in {one["address"] for one in contacts if one["sees"]}
        romeo.forget()
        await play.juliet.command("set_presence", show="away")
        await romeo.nothing_more(f"presence[@from='{JULIET}']")


async def test_a_service_that_is_not_there_is_waited_for() -> None:
    async with a_play() as play:
        world, romeo = play.world, play.romeo
        await world.service.call("set_fault", kind="drop", moment="connect", account="")
        await world.service.call("cut", address="romeo")
        await romeo.expect(unavailable(JULIET))
        error = await romeo.expect(f"presence[@type='error'][@from='{GATEWAY}']")
        assert error.condition == "remote-server-timeout"
        await world.service.call("clear_faults")
        with trio.fail_after(20):
            await romeo.expect(available(JULIET))
