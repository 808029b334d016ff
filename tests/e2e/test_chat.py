"""What users do, seen from both ends, on every server: register, see each other, talk, part."""

from collections.abc import Generator
from xml.etree.ElementTree import Element, SubElement

import pytest
import trio

from scripts.lab.jabber import Jabber, NotSeen
from scripts.lab.legacy_user import LegacyUser
from tests.e2e.servers import EJABBERD_PRIVILEGED, KINDS, Kind
from tests.e2e.standing import Duet, Scene, Standing, in_roster, standing_world
from tests.e2e.world import (
    GATEWAY,
    a_message,
    add,
    available,
    body,
    registration,
    unavailable,
)

pytestmark = [pytest.mark.servers, pytest.mark.slow]

REMOVE = '<query xmlns="jabber:iq:register"><remove/></query>'


@pytest.fixture(scope="module", params=KINDS, ids=str)
def standing(request: pytest.FixtureRequest) -> Generator[Standing, None, None]:
    kind: Kind = request.param
    kind.require()
    with standing_world(kind) as world:
        yield world


async def roster(jabber: Jabber) -> dict[str, Element]:
    """Return what of the gateway's stands in the user's roster, by address."""
    answer = await jabber.ask_roster()
    items = answer.element.iterfind("{jabber:iq:roster}query/{jabber:iq:roster}item")
    found = {item.get("jid", ""): item for item in items}
    return {jid: item for jid, item in found.items() if jid.endswith(GATEWAY)}


async def subscriptions(jabber: Jabber) -> dict[str, str]:
    """Return how the user stands with those of the gateway whom his roster has: `to`, `to ask`."""
    return {
        jid: " ".join((item.get("subscription", ""), *(["ask"] if item.get("ask") else [])))
        for jid, item in (await roster(jabber)).items()
    }


# --- the account ------------------------------------------------------------------------------


async def test_a_user_registers_talks_and_leaves(standing: Standing) -> None:
    async with standing.scene() as scene:
        await scene.create("romeo", "juliet")
        await scene.befriend("romeo", "juliet")
        user = await scene.account("romeo")
        me, juliets = scene.name("romeo"), scene.jid("juliet")
        async with scene.legacy("juliet") as juliet, scene.world.client(user) as romeo:
            await romeo.presence()
            form = await romeo.iq(GATEWAY, '<query xmlns="jabber:iq:register"/>')
            assert form.find("register:query/register:registered") is None
            await scene.register(romeo, "romeo")
            await romeo.expect(available(GATEWAY))
            await juliet.expect("presence", address=me, show="online")
            await add(romeo, juliets)
            await romeo.expect(available(juliets))

            await juliet.command("set_presence", show="away", text="on the balcony")
            assert (await romeo.expect(available(juliets, "away"))).status == "on the balcony"
            await romeo.presence("dnd", "in the orchard")
            await juliet.expect("presence", address=me, show="dnd", text="in the orchard")

            await romeo.message(juliets, chat_state="composing")
            await juliet.expect("typing", sender=me, state="composing")
            await romeo.message(juliets, "Wherefore <art> & thou? ☀", chat_state="active")
            said = await juliet.expect("message", sender=me)
            assert said["text"] == "Wherefore <art> & thou? ☀"

            await juliet.command("set_typing", to=me, state="composing")
            await romeo.expect(f"message[@from='{juliets}']/states:composing")
            await juliet.command("send_message", to=me, text="Ay me! <\u2764> & more")
            await romeo.expect(body(juliets, "Ay me! <\u2764> & more"))
            assert await scene.state("romeo") == "online"

            await romeo.nothing_more(a_message)
            await romeo.presence(type_="unavailable")
            await juliet.expect("presence", address=me, show="offline")
        assert await scene.state("romeo") == "offline"
        assert "DEBUG gateway" in scene.log()
        secret = scene.world.server.components[0].secret
        unsaid = (scene.password("romeo"), "Wherefore", "Ay me", secret)
        assert not any(each in scene.log() for each in unsaid)


async def test_a_wrong_legacy_password_is_refused_and_nothing_is_kept(standing: Standing) -> None:
    async with standing.scene() as scene:
        await scene.create("romeo")
        async with scene.world.client(await scene.account("romeo")) as romeo:
            await romeo.presence()
            wrong = registration(scene.name("romeo"), "wrong")
            answer = await romeo.iq(GATEWAY, wrong, "set")
            assert (answer.type, answer.condition) == ("error", "not-acceptable")
            assert "refused this name or password" in answer.text("error/stanzas:text")
            assert await scene.state("romeo") == ""
            answer = await romeo.iq(GATEWAY, registration("nobody", "x"), "set")
            assert "knows no account" in answer.text("error/stanzas:text")
            await romeo.nothing_more("presence[@type='subscribe']")
            # And the right one is taken after that.
            await scene.register(romeo, "romeo")
            await romeo.expect(available(GATEWAY))


async def test_a_password_is_edited_only_when_the_service_accepts_it(standing: Standing) -> None:
    async with standing.duet() as duet:
        scene, romeo, juliet = duet.scene, duet.romeo, duet.juliet
        me = scene.name("romeo")
        form = await romeo.iq(GATEWAY, '<query xmlns="jabber:iq:register"/>')
        assert form.find("register:query/register:registered") is not None
        assert form.text("register:query/register:username") == me
        assert form.text("register:query/register:password") == ""

        answer = await romeo.iq(GATEWAY, registration(me, "wrong"), "set")
        assert answer.condition == "not-acceptable"
        await romeo.message(duet.juliets, "still here")
        await juliet.expect("message", text="still here")

        await scene.call("set_password", "romeo", password="montague")
        answer = await romeo.iq(GATEWAY, registration(me, "montague"), "set")
        assert answer.type == "result"
        await romeo.message(duet.juliets, "here again")
        await juliet.expect("message", text="here again")
        # What is signed on from now on is so with the new one.
        await scene.call("kick", "romeo")
        await romeo.expect(unavailable(duet.juliets))
        await romeo.expect(available(duet.juliets))


async def test_unregistering_leaves_nothing(standing: Standing) -> None:
    async with standing.duet() as duet:
        scene, romeo, juliet = duet.scene, duet.romeo, duet.juliet
        await romeo.message(duet.juliets, "a last word")
        assert (await romeo.iq(GATEWAY, REMOVE, "set")).type == "result"
        await juliet.expect("presence", address=scene.name("romeo"), show="offline")
        # It was handed over or returned: one of the two, and nothing else.
        heard = await scene.count("romeo", "message")
        returned = await romeo.take_all("message[@type='error'][body='a last word']")
        assert heard + len(returned) == 1
        if scene.kind.sets_rosters:
            await romeo.expect(in_roster(duet.juliets, "remove"))
        else:
            await romeo.expect(f"presence[@type='unsubscribed'][@from='{duet.juliets}']")
        await romeo.expect(f"presence[@type='unsubscribed'][@from='{GATEWAY}']")
        await romeo.expect(unavailable(GATEWAY))
        left = await subscriptions(romeo)
        assert set(left.values()) <= {"none"}
        assert set(left) <= ({GATEWAY} if scene.kind.sets_rosters else {GATEWAY, duet.juliets})
        assert await scene.state("romeo") == ""
        await romeo.message(duet.juliets, "anybody there?")
        error = await romeo.expect("message[@type='error']")
        assert (error.from_, error.condition) == (duet.juliets, "registration-required")
        form = await romeo.iq(GATEWAY, '<query xmlns="jabber:iq:register"/>')
        assert form.find("register:query/register:registered") is None
        again = await romeo.iq(GATEWAY, REMOVE, "set")
        assert again.condition == "registration-required"


# --- coming and going -------------------------------------------------------------------------


async def test_what_was_said_to_an_absent_user_comes_late_and_says_so(standing: Standing) -> None:
    async with standing.duet() as duet:
        romeo, juliet, me = duet.romeo, duet.juliet, duet.scene.name("romeo")
        await romeo.presence(type_="unavailable")
        await juliet.expect("presence", address=me, show="offline")
        await juliet.command("send_message", to=me, text="come back")
        await juliet.command("send_message", to=me, text="soon")
        await romeo.nothing_more(a_message)
        await romeo.presence()
        for text in ("come back", "soon"):
            came = await romeo.expect("message/body")
            assert (came.body, came.from_) == (text, duet.juliets)
            assert came.find("delay:delay") is not None
        await juliet.command("send_message", to=me, text="there you are")
        live = await romeo.expect(body(duet.juliets, "there you are"))
        assert live.find("delay:delay") is None
        await romeo.nothing_more(a_message)


async def test_several_resources_are_one_user_until_the_last_one_leaves(
    standing: Standing,
) -> None:
    async with standing.scene() as scene:
        await scene.create("romeo", "juliet")
        await scene.befriend("romeo", "juliet")
        user = await scene.account("romeo")
        me, juliets = scene.name("romeo"), scene.jid("juliet")
        async with (
            scene.legacy("juliet") as juliet,
            scene.world.client(user) as romeo,
            scene.world.client(user, "mantua") as mantua,
        ):
            await romeo.presence("away", "half here")
            await scene.register(romeo, "romeo")
            await add(romeo, juliets)
            await juliet.expect("presence", address=me, show="away", text="half here")
            await mantua.presence("dnd", "in exile")
            await juliet.expect("presence", address=me, show="dnd", text="in exile")
            await mantua.expect(available(GATEWAY))
            await mantua.expect(available(juliets))
            assert await scene.count("romeo", "sign_on") == 1

            await juliet.command("send_message", to=me, text="to both")
            await romeo.expect(body(juliets, "to both"))
            await mantua.message(juliets, "from exile")
            await juliet.expect("message", text="from exile")

            await mantua.presence(type_="unavailable")
            await juliet.expect("presence", address=me, show="away", text="half here")
            await romeo.drop()  # and the last one is not even polite
            await juliet.expect("presence", address=me, show="offline")
            assert await scene.count("romeo", "sign_off") == 1


async def test_a_kick_is_recovered_from_and_what_was_said_meanwhile_arrives(
    standing: Standing,
) -> None:
    async with standing.duet() as duet:
        await duet.scene.call("kick", "romeo")
        await duet.romeo.expect(unavailable(duet.juliets))
        await duet.romeo.message(duet.juliets, "held until I am back")
        await duet.juliet.expect("message", text="held until I am back")
        await duet.romeo.expect(available(duet.juliets))
        await duet.romeo.nothing_more(a_message)
        assert await duet.scene.count("romeo", "sign_on") == 2


async def test_a_sign_on_elsewhere_ends_it_until_the_user_comes_back(standing: Standing) -> None:
    async with standing.duet() as duet:
        romeo = duet.romeo
        async with duet.scene.legacy("romeo"):
            await romeo.expect(unavailable(duet.juliets))
            told = await romeo.expect(f"message[@from='{GATEWAY}']/body")
            assert "signed on somewhere else" in told.body
            await romeo.message(duet.juliets, "is this lost?")
            error = await romeo.expect("message[@type='error']")
            assert error.from_ == duet.juliets
        await romeo.presence(type_="unavailable")
        await romeo.presence()
        await romeo.expect(available(duet.juliets))
        await romeo.nothing_more(a_message)


async def test_a_service_that_is_not_there_is_waited_for(standing: Standing) -> None:
    async with standing.duet() as duet:
        romeo, call = duet.romeo, duet.scene.world.service.call
        await call("set_fault", kind="drop", moment="connect", account="")
        try:
            await duet.scene.call("cut", "romeo")
            await romeo.expect(unavailable(duet.juliets))
            error = await romeo.expect(f"presence[@type='error'][@from='{GATEWAY}']")
            assert error.condition == "remote-server-timeout"
        finally:
            await call("clear_faults")
        await romeo.expect(available(duet.juliets), seconds=20)


# --- contacts ---------------------------------------------------------------------------------


NAME, GROUPS = "Juliet <of> Verona", ["Capulets & co", "Friends"]


async def test_the_legacy_contact_list_comes_into_the_users_own(standing: Standing) -> None:
    async with standing.scene() as scene:
        await scene.create("romeo", "juliet")
        await scene.befriend("romeo", "juliet")
        her, juliets = scene.name("juliet"), scene.jid("juliet")
        await scene.call("change_contact", "romeo", contact=her, name=NAME, groups=GROUPS)
        async with (
            scene.legacy("juliet"),
            scene.world.client(await scene.account("romeo")) as romeo,
        ):
            await romeo.presence()
            await scene.register(romeo, "romeo")
            if scene.kind.sets_rosters:
                await list_is_written(scene, romeo)
            else:
                await list_is_offered(scene, romeo)
            await romeo.nothing_more(f"presence[@type='subscribe'][@from='{juliets}']")
    # What the server grants and cannot do is tried once.
    vain = scene.gateway.output().count("the roster cannot be written though localhost allows it")
    assert vain == (1 if scene.kind is EJABBERD_PRIVILEGED else 0)


async def list_is_written(scene: Scene, romeo: Jabber) -> None:
    her, juliets = scene.name("juliet"), scene.jid("juliet")
    await romeo.expect(in_roster(juliets, "both"))
    await romeo.expect(available(juliets))
    assert named_as((await roster(romeo))[juliets]) == (NAME, GROUPS)
    # And what the network changes, later.
    await scene.call("change_contact", "romeo", contact=her, name="Jule", groups=[])
    await romeo.expect(f"iq/roster:query/roster:item[@jid='{juliets}'][@name='Jule']")
    assert named_as((await roster(romeo))[juliets]) == ("Jule", [])
    # A name that the user sets stays, and reaches the network's list at the next change there.
    mine = f"<item jid='{juliets}' name='My Jule'><group>Friends</group></item>"
    answer = await romeo.iq("", f'<query xmlns="jabber:iq:roster">{mine}</query>', "set")
    assert answer.type == "result"
    service = scene.world.service
    since = 1 + await service.call("last_arrived")  # after the change that follows
    await scene.call("change_contact", "romeo", contact=her, name="J. C.", groups=["Others"])
    await service.control.wait_arrived(since, scene.name("romeo"), "change")
    assert named_as((await roster(romeo))[juliets]) == ("My Jule", ["Friends"])
    [listed] = await scene.call("contacts", "romeo")
    assert (listed["name"], listed["groups"]) == ("My Jule", ["Friends"])
    await scene.call("remove_contact", "romeo", contact=her)
    await romeo.expect(in_roster(juliets, "remove"))


async def list_is_offered(scene: Scene, romeo: Jabber) -> None:
    offer = await romeo.expect(f"message[@from='{GATEWAY}']/rosterx:x")
    item = offer.find("rosterx:x/rosterx:item")
    assert item is not None
    assert (item.get("action"), item.get("jid")) == ("add", scene.jid("juliet"))
    assert named_as(item) == (NAME, GROUPS)
    await add(romeo, scene.jid("juliet"))
    assert (await subscriptions(romeo))[scene.jid("juliet")] == "to"


def named_as(item: Element) -> tuple[str, list[str]]:
    """Return a roster item's name and groups."""
    return item.get("name", ""), sorted(group.text or "" for group in item)


async def test_a_contact_is_added_from_either_side(standing: Standing) -> None:
    async with standing.duet() as duet:
        await duet.scene.create("tybalt")
        async with duet.scene.legacy("tybalt") as tybalt:
            await make_friends(duet, tybalt)
            await duet.romeo.nothing_more(f"presence[@type][@from='{duet.scene.jid('tybalt')}']")


async def make_friends(duet: Duet, tybalt: LegacyUser) -> None:
    """Have romeo add tybalt, who allows it, and then the other way round."""
    me, tybalts, romeo = duet.scene.name("romeo"), duet.scene.jid("tybalt"), duet.romeo
    await romeo.presence(type_="subscribe", to=tybalts)
    asked = await tybalt.expect("contact_request", address=me)
    await romeo.nothing_more(f"presence[@from='{tybalts}']")
    assert (await subscriptions(romeo))[tybalts] == "none ask"
    await tybalt.command("grant", address=asked["address"])
    await romeo.expect(f"presence[@type='subscribed'][@from='{tybalts}']")
    await romeo.expect(available(tybalts))
    assert (await subscriptions(romeo))[tybalts] == "to"

    await tybalt.command("add_contact", address=me)
    await romeo.expect(f"presence[@type='subscribe'][@from='{tybalts}']")
    await romeo.presence(type_="subscribed", to=tybalts)
    await tybalt.expect("request_answered", address=me, granted=True)
    await tybalt.expect("presence", address=me, show="online")
    assert (await subscriptions(romeo))[tybalts] == "both"


async def test_a_request_is_refused_by_either_side(standing: Standing) -> None:
    async with standing.duet() as duet:
        scene, romeo = duet.scene, duet.romeo
        await scene.create("tybalt")
        me, tybalts = scene.name("romeo"), scene.jid("tybalt")
        async with scene.legacy("tybalt") as tybalt:
            await romeo.presence(type_="subscribe", to=tybalts)
            asked = await tybalt.expect("contact_request", address=me)
            await tybalt.command("deny", address=asked["address"])
            await romeo.expect(f"presence[@type='unsubscribed'][@from='{tybalts}']")
            assert (await subscriptions(romeo)).get(tybalts, "none") == "none"
            # The other way round.
            await tybalt.command("add_contact", address=me)
            await romeo.expect(f"presence[@type='subscribe'][@from='{tybalts}']")
            await romeo.presence(type_="unsubscribed", to=tybalts)
            await tybalt.expect("request_answered", address=me, granted=False)
            assert (await subscriptions(romeo)).get(tybalts, "none") == "none"
            await romeo.presence("away", "not for him")
            await duet.juliet.expect("presence", address=me, text="not for him")
            look = await scene.call("look", "romeo", seen_by=scene.name("tybalt"))
            assert look["show"] == "offline"
            await romeo.nothing_more(f"presence[@from='{tybalts}']")


async def test_somebody_who_does_not_exist_cannot_be_added(standing: Standing) -> None:
    async with standing.duet() as duet:
        nobody = duet.scene.jid("nobody")
        await duet.romeo.presence(type_="subscribe", to=nobody)
        error = await duet.romeo.expect(f"presence[@type='error'][@from='{nobody}']")
        assert error.condition == "item-not-found"
        await duet.romeo.expect(f"presence[@type='unsubscribed'][@from='{nobody}']")
        assert (await subscriptions(duet.romeo)).get(nobody, "none") == "none"


async def test_a_contact_that_the_user_removes_is_gone_on_both_sides(standing: Standing) -> None:
    async with standing.duet() as duet:
        scene, romeo = duet.scene, duet.romeo
        await remove_from_roster(romeo, duet.juliets)
        await wait_removed(duet)
        contacts = await scene.call("contacts", "romeo")
        assert scene.name("juliet") not in {one["address"] for one in contacts if one["sees"]}
        assert duet.juliets not in await subscriptions(romeo)
        await romeo.take_all(unavailable(duet.juliets))
        await duet.juliet.command("set_presence", show="away")
        await romeo.nothing_more(f"presence[@from='{duet.juliets}']", through=GATEWAY)


async def remove_from_roster(jabber: Jabber, contact: str) -> None:
    item = f'<item jid="{contact}" subscription="remove"/>'
    answer = await jabber.iq("", f'<query xmlns="jabber:iq:roster">{item}</query>', "set")
    assert answer.type == "result"


async def wait_removed(duet: Duet) -> None:
    """Wait until the service has heard of it, and the gateway has said all it says about it."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            duet.scene.world.service.control.wait_arrived, 0, duet.scene.name("romeo"), "remove"
        )
    await duet.romeo.take_all("iq", through=GATEWAY)


@pytest.mark.parametrize("mutual", [False, True], ids=["one-sided", "mutual"])
async def test_a_contact_that_removes_the_user_is_gone(standing: Standing, mutual: bool) -> None:
    async with standing.duet() as duet:
        scene, romeo, tybalts = duet.scene, duet.romeo, duet.scene.jid("tybalt")
        await scene.create("tybalt")
        async with scene.legacy("tybalt") as tybalt:
            await make_friends(duet, tybalt)
            policy = scene.world.service.call
            await policy("set_policy", mutual_removal=mutual)
            try:
                await tybalt.command("remove_contact", address=scene.name("romeo"))
            finally:
                await policy("set_policy", mutual_removal=False)
            await romeo.expect(f"presence[@type='unsubscribe'][@from='{tybalts}']")
            await romeo.expect(unavailable(tybalts))
            if mutual:
                await romeo.expect(f"presence[@type='unsubscribed'][@from='{tybalts}']")
            assert (await subscriptions(romeo))[tybalts] == ("none" if mutual else "to")
            await romeo.presence("away", "for others")
            await duet.juliet.expect("presence", text="for others")
            look = await scene.call("look", "romeo", seen_by=scene.name("tybalt"))
            assert look["show"] == "offline"


# --- what one user does to the others ---------------------------------------------------------

DEEP = "<x xmlns='urn:x'>" * 100 + "</x>" * 100
MANY = "<x xmlns='urn:x'/>" * 3000
LONG = "a" * 200_000
SWELLING = '"' * 200_000  # which a server may write to us as 1.2 MB


async def test_what_one_client_sends_costs_nobody_else_anything(standing: Standing) -> None:
    async with standing.duet() as duet:
        scene = duet.scene
        await scene.create("paris", "tybalt")
        await scene.befriend("paris", "tybalt")
        tybalts = scene.jid("tybalt")
        async with (
            scene.legacy("tybalt") as tybalt,
            scene.world.client(await scene.account("paris")) as paris,
        ):
            await paris.presence()
            await scene.register(paris, "paris")
            before = scene.log()
            for number, inside in enumerate((DEEP, MANY)):
                await paris.send(
                    f"<message to='{tybalts}' type='chat' id='bad{number}'>"
                    f"<body>hello</body>{inside}</message>"
                )
                error = await paris.expect(f"message[@type='error'][@id='bad{number}']")
                assert error.condition == "not-acceptable"
                await paris.send(f"<presence to='{tybalts}'>{inside}</presence>")
                await paris.send(
                    f"<iq to='{GATEWAY}' type='get' id='iq{number}'>"
                    f"<query xmlns='jabber:iq:register'>{inside}</query></iq>"
                )
                answer = await paris.expect(f"iq[@type='error'][@id='iq{number}']")
                assert answer.condition == "not-acceptable"
                await untroubled(duet, f"still here {number}")
            for number, text in enumerate((LONG, SWELLING)):
                await paris.send(
                    f"<message to='{tybalts}' type='chat' id='long{number}'>"
                    f"<body>{text}</body></message>"
                )
                error = await paris.expect(f"message[@type='error'][@id='long{number}']")
                assert error.condition == "not-acceptable"
            await paris.message(tybalts, "<" * 40_000)
            said = await tybalt.expect("message", sender=scene.name("paris"))
            assert said["text"] == "<" * 40_000
            await untroubled(duet, "and here")
            # What the server itself does not take costs its sender his stream, and only him.
            await paris.send(f"<message to='{tybalts}' type='chat'>{'<a/>' * 75_000}</message>")
            with pytest.raises(NotSeen, match="the stream ended"):
                await paris.expect("message[@id='never']")
            await untroubled(duet, "for ever")
        after = scene.log().removeprefix(before)
        assert "trying again" not in after  # the link stayed
        assert "ended by a bug" not in after
        await duet.romeo.nothing_more("presence[@type='unavailable']")


async def untroubled(duet: Duet, text: str) -> None:
    await duet.romeo.message(duet.juliets, text)
    await duet.juliet.expect("message", text=text)
    await duet.juliet.command("send_message", to=duet.scene.name("romeo"), text=f"{text}, too")
    await duet.romeo.expect(body(duet.juliets, f"{text}, too"))


STRANGE_NAMES = (
    "O'Brien & <Söhne>",
    'a "b"/c:d@e\\20',
    # A server's own preparation would make another name of each of these.
    "straße",
    "καλος",
    "\ufb01ona",
    "ΟΔΥΣΣΕΥΣ",
)


async def test_a_contact_may_have_any_name(standing: Standing) -> None:
    async with standing.duet() as duet:
        scene, romeo, me = duet.scene, duet.romeo, duet.scene.name("romeo")
        for start in STRANGE_NAMES:
            name = scene.name(start)
            await scene.world.service.call(
                "create_account", address=name, password="x", consent=False
            )
            prompt = Element("query", xmlns="jabber:iq:gateway")
            SubElement(prompt, "prompt").text = name
            jid = (await romeo.iq(GATEWAY, prompt, "set")).text("gateway:query/gateway:jid")
            await add(romeo, jid)
            async with scene.world.service.user(name, "x") as friend:
                await romeo.expect(available(jid))
                assert (await subscriptions(romeo))[jid] == "to"
                await romeo.message(jid, "Who are you?")
                await friend.expect("message", sender=me, text="Who are you?")
                await friend.command("send_message", to=me, text="Guess.")
                await romeo.expect(body(jid, "Guess."))
            await romeo.expect(unavailable(jid))
            await remove_from_roster(romeo, jid)
            assert jid not in await subscriptions(romeo)


async def test_what_a_legacy_user_writes_reaches_one_user_and_harms_none(
    standing: Standing,
) -> None:
    async with standing.duet() as duet:
        me = duet.scene.name("romeo")
        before = duet.scene.log()
        for text, seen in (
            ("\0\b\ufffe]]>&<\U0001f600", "\ufffd\ufffd\ufffd]]>&<\U0001f600"),
            ("<presence type='unavailable'/>", "<presence type='unavailable'/>"),
        ):
            await duet.juliet.command("send_message", to=me, text=text)
            await duet.romeo.expect(body(duet.juliets, seen))
        await duet.juliet.command("set_presence", show="away", text="\x01\uffff</presence>")
        came = await duet.romeo.expect(available(duet.juliets, "away"))
        assert came.status == "\ufffd\ufffd</presence>"
        await untroubled(duet, "still here")
        assert "trying again" not in duet.scene.log().removeprefix(before)
