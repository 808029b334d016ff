"""Names and groups that the user sets, on networks that take them badly or not at all."""

from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.networks.base import (
    AddContact,
    ChangeContact,
    CommandDone,
    CommandFailed,
    Contact,
    ContactChanged,
    LegacyCommand,
    LegacyEvent,
    Reason,
    Strand,
)
from tests.fakes.network import FakeNetwork, FakeSettings
from tests.fakes.stage import ORCHARD, ROMEO, SERVER, G, Stage, stage

MERCUTIO = f"mercutio@{G}"
READ = f"<iq type='get' from='{G}' to='{ROMEO}'><query xmlns='jabber:iq:roster'/></iq>"
GRANT = (
    f"<message from='{SERVER}' to='{G}'><privilege xmlns='urn:xmpp:privilege:2'>"
    "<perm access='roster' type='both'/></privilege></message>"
)
THEIRS = (("juliet", "Juliet", ()), ("nurse", "", ()))

Named = tuple[str, str, tuple[str, ...]]


def item(name: str, shown: str, groups: tuple[str, ...]) -> str:
    named = f" name='{shown}'" if shown else ""
    inside = "".join(f"<group>{group}</group>" for group in groups)
    return f"<item jid='{name}@{G}' subscription='both'{named}>{inside}</item>"


def query(*items: Named) -> str:
    inside = "".join(item(*one) for one in items)
    return f"<query xmlns='jabber:iq:roster'>{inside}</query>"


async def answers(play: Stage, question: str, payload: str = "") -> None:
    asked = await play.expect(question)
    await play.send(
        f"<iq type='result' id='{asked.get('id')}' from='{ROMEO}' to='{G}'>{payload}</iq>"
    )


def sets(one: Named) -> str:
    return f"<iq type='set' from='{G}' to='{ROMEO}'>{query(one)}</iq>"


async def pushes(play: Stage, *items: Named) -> None:
    for one in items:
        await play.send(f"<iq type='set' id='p1' from='{ROMEO}' to='{G}'>{query(one)}</iq>")
        await play.expect(f"<iq type='result' id='p1' from='{G}' to='{ROMEO}'/>")


async def signs_on(play: Stage, *roster: Named) -> None:
    await play.send(GRANT)
    await play.sign_on()
    await answers(play, READ, query(*roster))


async def placed(play: Stage) -> None:
    await play.register()
    await signs_on(play)
    for one in THEIRS:
        await answers(play, sets(one))
    await answers(play, READ, query(*THEIRS))
    await play.nothing_more()


async def signs_off(play: Stage) -> None:
    await play.send(f"<presence type='unavailable' from='{ORCHARD}' to='{G}'/>")
    await play.expect(f"<presence type='unavailable' from='{G}' to='{ORCHARD}'/>")
    await play.nothing_more()


def asked(net: type[FakeNetwork]) -> list[Named]:
    """Return what the network was asked to change, and ask it for no more of that."""
    [client] = net.clients
    found = [one for one in client.sent if isinstance(one, ChangeContact)]
    client.sent.clear()
    return [(one.address, one.name, one.groups) for one in found]


def done(command: LegacyCommand) -> LegacyEvent:
    return CommandDone(command.ref)


def refuses(command: LegacyCommand) -> LegacyEvent:
    return CommandFailed(command.ref, Reason.UNSUPPORTED)


@pytest.mark.conformance("PRIV-02", "GW-ROST-04")
async def test_groups_of_nameless_contact_survive_restart(
    autojump_clock: MockClock, tmp_path: Path, net: type[FakeNetwork]
) -> None:
    mine = ("nurse", "", ("Friends",))
    async with stage(tmp_path, net, FakeSettings()) as play:
        await placed(play)
        await pushes(play, mine)
        await play.nothing_more()
        assert asked(net) == [mine]
    net.contacts[1] = Contact("nurse", "", ("Friends",))
    async with stage(tmp_path, net, FakeSettings()) as play:
        play.link.answer_disco = True
        await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
        await play.expect(f"<presence type='probe' from='{G}' to='{ROMEO}'/>")
        await signs_on(play, THEIRS[0], mine)
        net.clients[0].tell(ContactChanged(Contact("nurse", "", ("Servants",))))
        await trio.sleep(60)
        await play.nothing_more()


@pytest.mark.conformance("PRIV-02", "GW-ROST-04")
async def test_name_that_network_cuts_starts_no_loop(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    def cuts(command: LegacyCommand) -> LegacyEvent | None:
        if isinstance(command, ChangeContact):
            net.clients[0].tell(ContactChanged(Contact(command.address, command.name[:5])))
        return CommandDone(command.ref)

    net.rules.answer = cuts
    await placed(play)
    await pushes(play, ("juliet", "Juliet of mine", ()))
    await trio.sleep(4_000)
    await play.nothing_more()
    assert asked(net) == [("juliet", "Juliet of mine", ())]


@pytest.mark.conformance("PRIV-02")
async def test_refused_name_is_tried_at_next_sign_on(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    net.rules.answer = refuses
    mine = ("juliet", "Jule", ())
    await placed(play)
    await pushes(play, mine)
    await trio.sleep(4_000)
    assert asked(net) == [mine]
    await signs_off(play)
    await signs_on(play, mine, THEIRS[1])
    await play.nothing_more()
    assert asked(net) == [mine]


@pytest.mark.conformance("PRIV-02")
async def test_names_are_carried_over_one_by_one(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    net.rules.answer = lambda _: None
    mine = [("juliet", "Jule", ()), ("nurse", "Nursie", ("Friends",))]
    await placed(play)
    await pushes(play, *mine)
    await play.nothing_more()
    assert asked(net) == mine[:1]
    await trio.sleep(61)  # the network has not answered
    assert asked(net) == mine[1:]
    await play.nothing_more()


@pytest.mark.conformance("PRIV-02")
async def test_groups_go_where_network_has_them(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    net.rules.answer = done
    net.capabilities = attrs.evolve(net.capabilities, groups=False)
    await placed(play)
    await pushes(play, ("juliet", "Juliet", ("Friends",)))
    await play.nothing_more()
    assert asked(net) == []
    await pushes(play, ("juliet", "Jule", ("Friends",)))
    await play.nothing_more()
    assert asked(net) == [("juliet", "Jule", ())]


@pytest.mark.conformance("PRIV-02")
async def test_name_given_before_adding_goes_along(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    net.rules.answer = done
    await placed(play)
    await pushes(play, ("mercutio", "Cousin", ("Friends",)))
    await play.send(f"<presence type='subscribe' from='{ROMEO}' to='{MERCUTIO}'/>")
    await play.nothing_more()
    [client] = net.clients
    [added] = [one for one in client.sent if isinstance(one, AddContact)]
    assert (added.name, added.groups) == ("Cousin", ("Friends",))
    # A network that keeps no name of somebody who is asked is told again.
    client.tell(ContactChanged(Contact("mercutio", subscription=frozenset((Strand.ASKED,)))))
    await play.nothing_more()
    assert asked(net) == [("mercutio", "Cousin", ("Friends",))]


@pytest.mark.conformance("PRIV-02")
async def test_name_set_back_is_still_users(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    net.rules.answer = done
    await placed(play)
    await pushes(play, ("juliet", "Jule", ()), THEIRS[0])
    net.clients[0].tell(ContactChanged(Contact("juliet", "Juliet of the network")))
    await trio.sleep(60)
    await play.nothing_more()
    net.contacts[0] = Contact("juliet", "Juliet of the network")
    await signs_off(play)
    await signs_on(play, *THEIRS)
    await trio.sleep(60)
    await play.nothing_more()
    assert asked(net) == [THEIRS[0]]


@pytest.mark.conformance("PRIV-02", "GW-SEC-05")
async def test_pushes_about_nobody_change_nothing(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await placed(play)
    await pushes(play, ("x" * 80, "Nobody", ()), ("Juliet\\20", "Nobody", ()), ("tybalt", "", ()))
    await play.nothing_more()
    assert asked(net) == []


@pytest.mark.conformance("PRIV-02")
async def test_name_is_tried_again_after_lost_connection(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    net.rules.answer = refuses
    mine = ("juliet", "Jule", ())
    await placed(play)
    await pushes(play, mine)
    await play.nothing_more()
    assert asked(net) == [mine]
    net.rules.answer = done
    net.clients[0].end()
    with trio.fail_after(60):
        while (came := await play.link.next_stanza()).get("type") != "get":
            assert came.tag.endswith("presence")
    whole = query(mine, THEIRS[1])
    await play.send(f"<iq type='result' id='{came.get('id')}' from='{ROMEO}' to='{G}'>{whole}</iq>")
    await play.nothing_more()
    assert asked(net) == [mine]
