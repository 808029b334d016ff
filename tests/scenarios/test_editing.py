"""A registered user changes his password or his account, signed on or not."""

import pytest
import trio
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Show
from legacy_emu.faults import Kind
from tests.fakes.stage import BALCONY, JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.words import (
    NOT_ACCEPTABLE,
    NOT_AUTHORIZED,
    NURSE,
    TIMEOUT,
    error,
    form,
    login,
    message,
    presence,
    refused,
    register,
    result,
    said,
)


def sign_ons(legacy: Control, account: str = "romeo") -> int:
    return len(legacy.arrived(account=account, kind="sign_on"))


def password(play: Stage) -> str:
    [account] = play.gateway.store.accounts(G)
    return account.secret


async def signed_on(play: Stage, legacy: Control) -> None:
    """Romeo is signed on, and sees Juliet."""
    legacy.set_presence("Juliet", Show.ONLINE)
    await play.register()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO))
    await play.nothing_more()


async def signed_on_with_nurse(play: Stage, legacy: Control) -> None:
    legacy.set_presence("Juliet", Show.ONLINE)
    await play.register()
    await play.sign_on()
    await play.expect_all(
        presence(JULIET, ROMEO), presence(NURSE, ROMEO, inside="<show>away</show>")
    )


@pytest.mark.conformance("GW-EDIT-02", "AMB-01", "REG7-06")
@pytest.mark.parametrize(
    "filled_in",
    [
        login("romeo", ""),
        login("Ro Meo", "montague"),
        "<username>ROMEO</username>",
        form(("username", "romeo")),
        form(("username", "romeo"), ("password", "")),
    ],
)
async def test_what_stays_the_same_disturbs_nothing(
    autojump_clock: MockClock, play: Stage, legacy: Control, filled_in: str
) -> None:
    await signed_on(play, legacy)
    await play.send(register(filled_in))
    await play.expect(result(id_="r1"))
    await play.nothing_more()
    assert password(play) == "montague"
    assert sign_ons(legacy) == 1


@pytest.mark.conformance("GW-EDIT-02", "REG7-06")
async def test_a_new_password_is_used_from_then_on(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await signed_on(play, legacy)
    legacy.set_password("Romeo", "capulet")
    await play.send(register(login("romeo", "capulet")))
    await play.expect(result(id_="r1"))
    await play.expect(presence(JULIET, ROMEO, "unavailable"))
    await play.expect(presence(G, ROMEO))
    await play.expect(presence(JULIET, ROMEO))
    await play.nothing_more()
    assert password(play) == "capulet"
    assert sign_ons(legacy) == 2
    assert len(legacy.connections()) == 1


@pytest.mark.conformance("GW-EDIT-03", "CORE-10")
@pytest.mark.parametrize(
    "filled_in", [login("romeo", "wrong"), login("mercutio", "wrong"), login("mercutio", "")]
)
async def test_what_the_service_refuses_leaves_the_session_alone(
    autojump_clock: MockClock, play: Stage, legacy: Control, filled_in: str
) -> None:
    await signed_on(play, legacy)
    await play.send(register(filled_in))
    await play.expect(refused(NOT_ACCEPTABLE, id_="r1"))
    await play.send(message("still here"))
    legacy.send_message("Juliet", "Romeo", "I see")
    await play.expect(said("I see"))
    await play.nothing_more()
    assert password(play) == "montague"
    assert sign_ons(legacy) == 1
    assert not legacy.arrived(kind="sign_off")


@pytest.mark.conformance("GW-EDIT-03", "AMB-05")
async def test_a_service_that_does_not_answer_leaves_the_registration_alone(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    legacy.set_fault(Kind.STALL_ANSWERS)
    await play.send(register(login("romeo", "capulet")))
    await trio.sleep(40)
    await play.expect(refused(TIMEOUT, id_="r1"))
    await play.nothing_more()
    assert password(play) == "montague"
    legacy.clear_faults()


@pytest.mark.conformance("GW-IN-07", "GW-EDIT-02")
async def test_an_edit_ends_a_refusal(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    await trio.sleep(60)  # what the registration's check has proven is good for a while
    legacy.set_password("Romeo", "capulet")
    await play.send(presence(ORCHARD, G))
    await play.expect(presence(G, ORCHARD, "error", error(*NOT_AUTHORIZED)))
    await play.expect(presence(G, ROMEO, "unavailable"))
    await play.expect(said("*", from_=G))
    await trio.sleep(3600)
    await play.nothing_more()
    await play.send(register(login("romeo", "capulet")))
    await play.expect(result(id_="r1"))
    await play.expect(presence(G, ROMEO))
    await play.nothing_more()
    assert sign_ons(legacy) == 1


@pytest.mark.conformance("GW-EDIT-04", "GW-UNREG-05")
async def test_another_account_begins_anew(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.befriend("Mercutio", "Nurse")
    legacy.set_presence("Nurse", Show.AWAY)
    await signed_on_with_nurse(play, legacy)
    await play.send(register(login("mercutio", "queenmab")))
    for contact in (JULIET, NURSE):
        for type_ in ("unsubscribe", "unsubscribed", "unavailable"):
            await play.expect(presence(contact, ROMEO, type_))
    await play.expect(result(id_="r1"))
    await play.expect(presence(G, ROMEO))
    await play.expect(presence(NURSE, ROMEO, inside="<show>away</show>"))
    await play.nothing_more()
    assert [name for name, _ in play.accounts()] == ["mercutio"]
    [before, after] = [
        one.number
        for one in legacy.arrived()
        if (one.account, one.kind) in (("romeo", "sign_off"), ("mercutio", "sign_on"))
    ]
    assert before < after
    assert [one["account"] for one in legacy.connections()] == ["mercutio"]
    await play.send(message("who am I?", to=NURSE))
    await play.nothing_more()
    [sent] = legacy.arrived(kind="message")
    assert sent.account == "mercutio"


@pytest.mark.conformance("GW-EDIT-04", "GW-SEND-05")
async def test_a_message_sent_just_before_another_account_goes_from_the_old_one_or_comes_back(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    await play.sign_on()
    await play.send(message("from Romeo"), register(login("mercutio", "queenmab")))
    await play.expect(result(id_="r1"))
    await play.expect(presence(G, ROMEO))
    await play.nothing_more()
    [sent] = legacy.arrived(kind="message")
    assert (sent.account, sent.fields["text"]) == ("romeo", "from Romeo")


@pytest.mark.conformance("GW-EDIT-04", "GW-REG-08")
async def test_another_account_from_another_resource_while_nobody_is_here(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.register()
    await play.send(register(login("mercutio", "queenmab"), from_=BALCONY))
    await play.expect(result(id_="r1", to=BALCONY))
    await play.nothing_more()
    assert not legacy.arrived(kind="sign_on")
    await play.sign_on()
    await play.nothing_more()
    assert sign_ons(legacy, "mercutio") == 1
    assert sign_ons(legacy) == 0
