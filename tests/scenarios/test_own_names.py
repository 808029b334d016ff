"""Names and groups that the user sets: they stay in the roster, and reach the network's list."""

import pytest
import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from tests.fakes.stage import JULIET, ROMEO, G, Stage
from tests.scenarios.conftest import Raise
from tests.scenarios.test_roster import (
    JULIETS_ITEM,
    NURSES_ITEM,
    PRIVILEGE,
    READ,
    answer,
    asks,
    granted,
    grown_up,
    named,
    put,
    roster,
    sign_on_with_caps,
)
from tests.scenarios.words import MERCUTIO, NURSE, iq, presence, result

Named = tuple[str, str, str]
MY_JULIET = (JULIET, "My Jule", "Friends")


async def placed(play: Stage, legacy: Control) -> None:
    """Both contacts are in the roster, as the gateway wrote them."""
    await play.send(granted(PRIVILEGE))
    await grown_up(play, legacy)
    await sign_on_with_caps(play)
    await answer(play, READ, roster())
    for item in (JULIETS_ITEM, NURSES_ITEM):
        asked = await play.expect(asks(put(*item), "set", ROMEO))
        await pushes(play, item)  # our own write comes back
        await play.send(iq("result", "", id_=str(asked.get("id")), from_=ROMEO))
    asked = await play.expect(READ)
    await pushes(play, JULIETS_ITEM)
    inside = named(JULIETS_ITEM, NURSES_ITEM)
    await play.send(iq("result", inside, id_=str(asked.get("id")), from_=ROMEO))
    await play.nothing_more()


async def pushes(play: Stage, item: Named, subscription: str = "both") -> None:
    """The server pushes an item of the roster to the gateway."""
    await play.send(iq("set", put(*item, subscription), from_=ROMEO))
    await play.expect(result(to=ROMEO))


async def back_again(play: Stage) -> None:
    """The daemon was started again, and the user is here."""
    play.link.answer_disco = False
    await play.expect(presence(G, ROMEO))
    await play.expect(presence(G, ROMEO, "probe"))
    await play.send(granted(PRIVILEGE))
    await sign_on_with_caps(play)


async def settled(play: Stage) -> None:
    """A network may take several steps for one change."""
    await trio.sleep(10)
    await play.nothing_more()


def on_the_list(legacy: Control, name: str) -> tuple[str, tuple[str, ...]]:
    [found] = [one for one in legacy.contacts("Romeo") if one.address.lower() == name]
    return found.name, tuple(found.groups)


def changes(legacy: Control, since: int) -> list[str]:
    """Return whom the gateway has renamed since."""
    found = legacy.arrived(since, "Romeo", "change")
    return [str(one.fields["contact"]).lower() for one in found]


@pytest.mark.conformance("PRIV-02", "GW-ROST-04")
async def test_pushed_name_reaches_network_once(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await placed(play, legacy)
    since = legacy.last_arrived()
    await pushes(play, MY_JULIET)
    await settled(play)
    assert on_the_list(legacy, "juliet") == ("My Jule", ("Friends",))
    assert set(changes(legacy, since)) == {"juliet"}
    since = legacy.last_arrived()
    await pushes(play, MY_JULIET)  # once more, for another reason
    await trio.sleep(4_000)
    await play.nothing_more()
    assert changes(legacy, since) == []


@pytest.mark.conformance("PRIV-02", "GW-ROST-04")
async def test_users_name_survives_change_on_network(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await placed(play, legacy)
    await pushes(play, MY_JULIET)
    await settled(play)
    since = legacy.last_arrived()
    legacy.change_contact("Romeo", "Juliet", "Juliet of the Capulets", ("Others",))
    await trio.sleep(60)
    await play.nothing_more()
    assert len(changes(legacy, since)) == 1  # the one just now: no loop
    legacy.change_contact("Romeo", "Nurse", "Angelica")
    await answer(play, READ, named(MY_JULIET, NURSES_ITEM))
    await answer(play, asks(put(NURSE, "Angelica", ""), "set", ROMEO))
    await play.nothing_more()


@pytest.mark.conformance("PRIV-02", "GW-ROST-04")
async def test_only_what_user_set_stays(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await placed(play, legacy)
    await pushes(play, (JULIET, "My Jule", "Capulets"))
    await play.nothing_more()
    legacy.change_contact("Romeo", "Juliet", "Juliet C.", ("Lovers",))
    await answer(play, READ, named((JULIET, "My Jule", "Capulets"), NURSES_ITEM))
    await answer(play, asks(put(JULIET, "My Jule", "Lovers"), "set", ROMEO))
    await pushes(play, (JULIET, "My Jule", "Lovers"))
    await play.nothing_more()


@pytest.mark.conformance("PRIV-02", "GW-ROST-04")
async def test_name_is_seen_before_write(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    """Prosody pushes nothing to components."""
    await placed(play, legacy)
    legacy.change_contact("Romeo", "Juliet", "Juliet of the Capulets", ("Capulets",))
    await answer(play, READ, named((JULIET, "My Jule", "Capulets"), NURSES_ITEM))
    await trio.sleep(60)
    await play.nothing_more()
    assert on_the_list(legacy, "juliet") == ("My Jule", ("Capulets",))


@pytest.mark.conformance("PRIV-02", "GW-ROST-04")
async def test_users_name_survives_restart(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    async with curtain() as play:
        await placed(play, legacy)
        await pushes(play, MY_JULIET)
        await play.nothing_more()
    legacy.change_contact("Romeo", "Juliet", "Juliet C.", ("Capulets",))
    for _ in range(2):
        async with curtain() as play:
            await back_again(play)
            await answer(play, READ, named(MY_JULIET, NURSES_ITEM))
            await settled(play)
            assert on_the_list(legacy, "juliet") == ("My Jule", ("Friends",))
            since = legacy.last_arrived()
            legacy.change_contact("Romeo", "Juliet", "Juliet again", ("Capulets",))
            await trio.sleep(60)
            await play.nothing_more()
            assert len(changes(legacy, since)) == 1


@pytest.mark.conformance("PRIV-02", "GW-ROST-04")
async def test_name_set_during_downtime_is_carried_over(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    async with curtain() as play:
        await placed(play, legacy)
    async with curtain() as play:
        since = legacy.last_arrived()
        await back_again(play)
        await answer(play, READ, named(JULIETS_ITEM, (NURSE, "Nursie", "")))
        await settled(play)
        assert on_the_list(legacy, "nurse")[0] == "Nursie"
        assert changes(legacy, since) == ["nurse"]


@pytest.mark.conformance("PRIV-02", "GW-ADD-01")
async def test_name_given_while_adding_is_kept(
    autojump_clock: MockClock, curtain: Raise, legacy: Control
) -> None:
    mine = (MERCUTIO, "Cousin", "Friends")
    async with curtain() as play:
        await placed(play, legacy)
        await pushes(play, mine, "none")
        await play.send(presence(ROMEO, MERCUTIO, "subscribe"))
        await trio.sleep(5)
        legacy.grant("Mercutio", "Romeo")
        await trio.sleep(5)
        assert on_the_list(legacy, "mercutio") == ("Cousin", ("Friends",))
        with trio.move_on_after(5):
            while True:
                came = await play.link.next_stanza()
                assert came.tag.endswith("presence")
    legacy.change_contact("Romeo", "Mercutio", "Mercutio", ("Others",))
    async with curtain() as play:
        await back_again(play)
        await answer(play, READ, named(JULIETS_ITEM, NURSES_ITEM, mine))
        await play.nothing_more()
        assert on_the_list(legacy, "mercutio") == ("Cousin", ("Friends",))


@pytest.mark.conformance("PRIV-02")
@pytest.mark.parametrize("name", ["", "juliet", JULIET, " "])
@pytest.mark.needs("names")
async def test_stopgap_for_name_is_not_carried_over(
    autojump_clock: MockClock, play: Stage, legacy: Control, name: str
) -> None:
    await placed(play, legacy)
    since = legacy.last_arrived()
    await pushes(play, (JULIET, name, ""))
    await play.nothing_more()
    assert changes(legacy, since) == []
    legacy.change_contact("Romeo", "Juliet", "Jule", ("Capulets",))
    await answer(play, READ, named((JULIET, name, ""), NURSES_ITEM))
    await answer(play, asks(put(JULIET, "Jule", "Capulets"), "set", ROMEO))
    await play.nothing_more()


@pytest.mark.conformance("PRIV-02", "GW-SEC-05")
async def test_push_without_privilege_renames_nothing(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await grown_up(play, legacy)
    await sign_on_with_caps(play, caps="")
    since = legacy.last_arrived()
    await play.send(iq("set", put(*MY_JULIET), from_=ROMEO))
    await trio.sleep(40)
    assert changes(legacy, since) == []
