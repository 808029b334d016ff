"""Two clients of one user, and one client that changes its mind: what is said last holds."""

import pytest
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Show
from legacy_emu.faults import Kind
from tests.fakes.stage import JULIET, ROMEO, G, Stage
from tests.scenarios.awaits import counting_steps
from tests.scenarios.words import login, presence, register, result


@pytest.mark.conformance("GW-EDIT-02", "GW-UNREG-01", "GW-UNREG-03", "AMB-27")
async def test_who_leaves_for_good_after_an_edit_keeps_nobody_busy(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_presence("Juliet", Show.ONLINE)
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    legacy.set_password("Romeo", "capulet")
    await play.send(register(login("romeo", "capulet")))
    await play.expect(result(id_="r1"))
    await play.expect(presence(JULIET, ROMEO, "unavailable"))
    await play.expect(presence(G, ROMEO))
    await play.expect(presence(JULIET, ROMEO))
    legacy.set_fault(Kind.STALL_ANSWERS)  # the sign-off takes its time
    with counting_steps(autojump_clock) as steps:
        await play.send(register("<remove/>", id_="x1"))
        await play.expect(result(id_="x1"))
    assert 0 < steps.of[f"sessions/{G}/{ROMEO}/registration"] < 100
    for jid in (JULIET, G):
        for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
            await play.expect(presence(jid, ROMEO, type_))
    await play.nothing_more()
    assert not legacy.connections()
