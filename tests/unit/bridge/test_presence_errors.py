"""A presence error repeats the id of the presence that it answers."""

import pytest
import trio
from trio.testing import MockClock

from gateway.bridge.features import presence
from gateway.errors import ConnectionLost
from gateway.networks.base import (
    AddContact,
    CommandFailed,
    LoginRefused,
    Reason,
    Refusal,
)
from tests.fakes.network import FakeNetwork
from tests.fakes.stage import BALCONY, ORCHARD, ROMEO, G, Stage


async def errors(play: Stage, seconds: float = 10.0) -> list[tuple[str | None, ...]]:
    """Return from, to and id of the presence errors that come within `seconds`."""
    await trio.sleep(seconds)
    came = [await play.link.next_stanza() for _ in range(len(play.link._arrived))]
    return [
        (one.get("from"), one.get("to"), one.get("id"))
        for one in came
        if one.tag.endswith("}presence") and one.get("type") == "error"
    ]


def coming(id_: str, user: str = ORCHARD) -> str:
    return f"<presence id='{id_}' from='{user}' to='{G}'/>"


@pytest.mark.conformance("GW-IN-07", "GW-IN-08", "AMB-07")
@pytest.mark.parametrize(
    "failure", [LoginRefused(Refusal.SUSPENDED), LoginRefused(Refusal.BUSY), ConnectionLost("down")]
)
async def test_error_of_sign_on_repeats_the_id(
    failure: Exception, autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await play.register()
    net.failures.extend([failure] * 100)
    await play.send(coming("p1"), coming("p2", BALCONY))
    assert await errors(play) == [(G, ORCHARD, "p1"), (G, BALCONY, "p2")]
    await play.send(f"<presence type='unavailable' from='{ORCHARD}' to='{G}'/>", coming("p3"))
    assert [id_ for _, to, id_ in await errors(play) if to == ORCHARD] in (["p3"], [])


async def test_error_after_sign_on_has_no_id(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await play.register()
    await play.send(coming("p1"))
    await play.expect(f"<presence from='{G}' to='{ROMEO}'/>")
    await play.nothing_more()
    net.clients[0].end(Refusal.ELSEWHERE)
    assert await errors(play) == [(G, ORCHARD, None)]
    net.failures.append(LoginRefused(Refusal.SUSPENDED))
    await play.send(f"<presence type='unavailable' from='{ORCHARD}' to='{G}'/>", coming("p2"))
    assert await errors(play) == [(G, ORCHARD, "p2")]


async def test_error_of_a_bug_repeats_the_id(
    autojump_clock: MockClock, play: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("planted")

    await play.register()
    await play.sign_on()
    await play.nothing_more()
    monkeypatch.setattr(presence, "answer_probe", broken)
    await play.send(f"<presence type='probe' id='p1' from='{ORCHARD}' to='{G}'/>")
    assert await errors(play) == [(G, ORCHARD, "p1")]


@pytest.mark.conformance("GW-ADD-05")
async def test_error_for_a_contact_repeats_the_id(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    await play.register()
    subscribe = f"<presence type='subscribe' id='{{}}' from='{ROMEO}' to='{{}}'/>"
    tybalt, nobody = f"tybalt@{G}", f"{'x' * 70}@{G}"
    net.rules.answer = lambda command: (
        CommandFailed(command.ref, Reason.UNKNOWN_ADDRESS)
        if isinstance(command, AddContact)
        else None
    )
    await play.send(coming("p1"), subscribe.format("s1", tybalt))  # asked after the sign-on
    assert await errors(play) == [(tybalt, ROMEO, "s1")]
    await play.send(subscribe.format("s2", tybalt), subscribe.format("s3", nobody))
    assert sorted(await errors(play)) == sorted([(tybalt, ROMEO, "s2"), (nobody, ROMEO, "s3")])
    await play.send(subscribe.format("s4", tybalt).replace(" id='s4'", ""))
    assert await errors(play) == [(tybalt, ROMEO, None)]
