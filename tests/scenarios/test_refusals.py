"""The service does not let the user in, throws him out, or is not there."""

import pytest
import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Refusal, Show
from legacy_emu.faults import Kind, Moment
from tests.fakes.stage import BALCONY, JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.casts import Cast
from tests.scenarios.words import (
    CONFLICT,
    CONSTRAINT,
    FORBIDDEN,
    NOT_AUTHORIZED,
    TIMEOUT,
    bounced,
    error,
    message,
    presence,
    said,
)

LASTING = [
    (Refusal.WRONG_CREDENTIALS, NOT_AUTHORIZED),
    (Refusal.UNKNOWN_ACCOUNT, NOT_AUTHORIZED),
    (Refusal.SUSPENDED, FORBIDDEN),
    (Refusal.FORBIDDEN, FORBIDDEN),
    (Refusal.ELSEWHERE, CONFLICT),
]


def sign_ons(legacy: Control) -> int:
    return len(legacy.arrived(account="romeo", kind="sign_on"))


def fault(of: tuple[str, str, str], to: str = ORCHARD) -> str:
    return presence(G, to, "error", error(*of))


async def is_refused(play: Stage, of: tuple[str, str, str]) -> str:
    """Expect what tells of a refusal; return what the user is told in words (NOTE-01)."""
    await play.expect(fault(of))
    await play.expect(presence(G, ROMEO, "unavailable"))
    told = await play.expect(said("*", from_=G))
    return str(told[0].text)


async def signed_on(play: Stage, legacy: Control) -> None:
    legacy.set_presence("Juliet", Show.ONLINE)
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await play.nothing_more()


@pytest.mark.conformance("GW-IN-07", "GW-IN-09", "NOTE-01", "AMB-07", "AMB-20")
@pytest.mark.parametrize(
    ("reason", "of", "trigger"),
    [
        *((*one, G) for one in LASTING[:-1]),
        pytest.param(*LASTING[-1], G, marks=pytest.mark.needs("exact refusals")),
        (*LASTING[0], JULIET),
    ],
)
async def test_a_refusal_is_told_and_lasts_until_the_user_comes_anew(
    autojump_clock: MockClock,
    play: Stage,
    legacy: Control,
    reason: Refusal,
    of: tuple[str, str, str],
    trigger: str,
    cast: Cast,
) -> None:
    await play.register()
    legacy.set_fault(Kind.REFUSE, account="Romeo", reason=reason, text="Hie hence", times=1)
    await play.send(presence(ORCHARD, trigger))
    words = await is_refused(play, of)
    assert words
    assert "Hie hence" in words or "exact refusals" in cast.lacks
    await play.send(presence(ORCHARD, trigger, inside="<show>away</show>"), message("and so?"))
    await play.expect(bounced(of, "and so?"))
    await trio.sleep(3 * 3600)
    await play.nothing_more()
    assert sign_ons(legacy) == 0
    await play.send(presence(ORCHARD, trigger, "unavailable"))
    await play.expect(presence(G, ORCHARD, "unavailable"))
    await play.sign_on()
    await play.nothing_more()
    assert sign_ons(legacy) == 1


@pytest.mark.conformance("AMB-07", "GW-IN-07")
async def test_every_resource_that_waits_is_told_and_the_words_come_once(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    await trio.sleep(60)  # what the registration's check has proven is good for a while
    legacy.set_password("Romeo", "changed")
    legacy.set_fault(Kind.DELAY, seconds=2)
    await play.send(presence(ORCHARD, G), presence(BALCONY, G))
    await play.expect_all(
        fault(NOT_AUTHORIZED),
        fault(NOT_AUTHORIZED, BALCONY),
        presence(G, ROMEO, "unavailable"),
        said("*", from_=G),
    )
    await play.nothing_more()


@pytest.mark.conformance("GW-IN-08", "GW-IN-09", "NOTE-01")
@pytest.mark.parametrize(
    ("reason", "of"), [(Refusal.BUSY, TIMEOUT), (Refusal.TOO_MANY_ATTEMPTS, CONSTRAINT)]
)
@pytest.mark.needs("exact refusals")
async def test_a_passing_refusal_is_tried_again_when_the_service_says(
    autojump_clock: MockClock,
    play: Stage,
    legacy: Control,
    reason: Refusal,
    of: tuple[str, str, str],
) -> None:
    await play.register()
    legacy.set_fault(Kind.REFUSE, reason=reason, retry_after=50, times=1)
    start = trio.current_time()
    await play.send(presence(ORCHARD, G))
    await play.expect(fault(of))
    await trio.sleep(45)
    await play.nothing_more()
    await play.expect(presence(G, ROMEO))
    assert trio.current_time() - start >= 50
    await trio.sleep(60)
    await play.nothing_more()
    assert sign_ons(legacy) == 1


@pytest.mark.conformance("GW-IN-08", "NOTE-01", "GW-SEND-05")
@pytest.mark.parametrize("moment", [Moment.CONNECT, Moment.SIGN_ON])
async def test_a_service_that_is_down_is_told_once_and_tried_until_it_is_back(
    autojump_clock: MockClock, play: Stage, legacy: Control, moment: Moment
) -> None:
    await play.register()
    legacy.set_fault(Kind.DROP, moment=moment)
    await play.send(presence(ORCHARD, G), message("held"))
    await play.expect(fault(TIMEOUT))
    await trio.sleep(29)
    await play.nothing_more()
    await play.expect(bounced(TIMEOUT, "held"))
    await trio.sleep(20)
    await play.nothing_more()
    await trio.sleep(15)
    await play.expect(said("*", from_=G))  # one chat message for the whole incident
    await trio.sleep(3600)
    await play.nothing_more()
    assert sign_ons(legacy) == 0
    legacy.clear_faults()
    await trio.sleep(300)
    await play.expect(presence(G, ROMEO))
    await play.nothing_more()
    assert sign_ons(legacy) == 1


@pytest.mark.conformance("GW-IN-08")
async def test_a_service_that_is_down_is_not_told_to_who_has_left(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    legacy.set_fault(Kind.DROP, moment=Moment.CONNECT)
    await play.send(presence(ORCHARD, G))
    await play.expect(fault(TIMEOUT))
    await play.send(presence(BALCONY, G))
    await play.expect(fault(TIMEOUT, BALCONY))
    await play.send(presence(ORCHARD, G, "unavailable"))
    await play.expect(presence(G, ORCHARD, "unavailable"))
    await play.send(presence(BALCONY, G, "unavailable"))
    await play.expect(presence(G, BALCONY, "unavailable"))
    await trio.sleep(3600)
    await play.nothing_more()
    attempts = len(play.machine.network.dials)
    await trio.sleep(3600)
    assert len(play.machine.network.dials) == attempts


@pytest.mark.conformance("GW-OUT-06", "NOTE-01")
async def test_a_lost_connection_is_made_again_and_not_talked_about(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play, legacy)
    for end in (legacy.cut, legacy.kick):
        assert end("Romeo") == 1
        await play.expect(presence(JULIET, ROMEO, "unavailable"))
        await play.expect(presence(G, ROMEO))
        await play.expect(presence(JULIET, ROMEO))
        await play.nothing_more()
    await trio.sleep(120)
    await play.nothing_more()
    assert sign_ons(legacy) == 3
    assert len(legacy.connections()) == 1


@pytest.mark.conformance("GW-OUT-06", "GW-IN-08")
async def test_a_half_open_connection_is_noticed(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play, legacy)
    fault_name = legacy.set_fault(Kind.STALL_ANSWERS, account="Romeo")
    await trio.sleep(62)
    await play.expect(presence(JULIET, ROMEO, "unavailable"))
    legacy.clear_faults(fault_name)
    await trio.sleep(60)
    await play.expect(presence(G, ROMEO))
    await play.expect(presence(JULIET, ROMEO))
    await play.nothing_more()


@pytest.mark.conformance("GW-OUT-06", "GW-IN-09", "NOTE-01", "AMB-30")
@pytest.mark.parametrize(
    ("reason", "of"),
    [
        *(
            pytest.param(*one, marks=pytest.mark.needs("reasons for an end"))
            for one in LASTING[:-1]
        ),
        LASTING[-1],
    ],
)
async def test_who_is_thrown_out_stays_out(
    autojump_clock: MockClock,
    play: Stage,
    legacy: Control,
    reason: Refusal,
    of: tuple[str, str, str],
    cast: Cast,
) -> None:
    await signed_on(play, legacy)
    legacy.kick("Romeo", reason, "Hie hence")
    await play.expect(presence(JULIET, ROMEO, "unavailable"))
    words = await is_refused(play, of)
    assert words
    assert "Hie hence" in words or "exact refusals" in cast.lacks
    await trio.sleep(3 * 3600)
    await play.nothing_more()
    assert sign_ons(legacy) == 1


@pytest.mark.conformance("AMB-30", "GW-IN-09")
async def test_two_users_of_one_account_do_not_kick_each_other_for_ever(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play, legacy)
    other = "benvolio@shakespeare.lit"
    await play.register(f"{other}/street")
    await play.send(presence(f"{other}/street", G))
    await play.expect_all(
        presence(JULIET, ROMEO, "unavailable"),
        fault(CONFLICT),
        presence(G, ROMEO, "unavailable"),
        said("*", from_=G),
        presence(G, other),
        presence(JULIET, other),
    )
    await trio.sleep(3600)
    await play.nothing_more()
    assert sign_ons(legacy) == 2


@pytest.mark.conformance("GW-OUT-06")
@pytest.mark.parametrize("kind", [Kind.GARBLE, Kind.SPLIT])
async def test_what_the_service_does_to_its_bytes_costs_a_connection_at_most(
    autojump_clock: MockClock, play: Stage, legacy: Control, kind: Kind
) -> None:
    await signed_on(play, legacy)
    legacy.set_fault(kind, account="Romeo", times=3)
    for number in range(3):
        legacy.send_message("Juliet", "Romeo", f"{number}")
        await trio.sleep(10)
    await trio.sleep(120)
    legacy.send_message("Juliet", "Romeo", "afterwards")
    seen: list[str | None] = []
    while "afterwards" not in seen:
        found = await play.link.next_stanza()
        if found.tag.endswith("message") and found.get("from") == JULIET:
            seen.append(found[0].text)
        else:
            assert found.get("from") in (JULIET, G)
    if kind is Kind.SPLIT:
        assert seen == ["0", "1", "2", "afterwards"]
    await trio.sleep(120)
    assert len(legacy.connections()) == 1
