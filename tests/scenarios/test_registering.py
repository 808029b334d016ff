"""A user registers with the gateway: plain fields, forms, and all that can be wrong with them."""

import pytest
import trio
from trio.testing import MockClock

from gateway.networks.base import Description
from legacy_emu.control import Control
from legacy_emu.events import Refusal, Show
from legacy_emu.faults import Kind, Moment
from tests.fakes.stage import BALCONY, JULIET, ORCHARD, ROMEO, G, Stage
from tests.scenarios.casts import Cast
from tests.scenarios.words import (
    BAD_REQUEST,
    BENVOLIO,
    CONSTRAINT,
    FORBIDDEN,
    NOT_ACCEPTABLE,
    REGISTER,
    STRANGER,
    TIMEOUT,
    UNAVAILABLE,
    form,
    iq,
    login,
    presence,
    refused,
    register,
    result,
    said,
)

RIGHT = login("romeo", "montague")
ASK = iq("get", f"<query xmlns='{REGISTER}'/>")


def asked_for(of: Description, name: str = "") -> str:
    """Return the question: to somebody new, or to whom is registered as `name`."""
    username = of.fields[0].label
    value = f"<value>{name}</value>" if name else ""
    return (
        f"<query xmlns='{REGISTER}'>"
        + ("<registered/>" if name else "")
        + f"<instructions>{of.instructions}</instructions>"
        f"<username>{name}</username><password/>"
        f"<x xmlns='jabber:x:data' type='form'><title>{of.title}</title>"
        f"<instructions>{of.instructions}</instructions>"
        f"<field var='FORM_TYPE' type='hidden'><value>{REGISTER}</value></field>"
        f"<field var='username' type='text-single' label='{username}'>"
        f"<required/>{value}</field>"
        "<field var='password' type='text-private' label='Password'>"
        + ("" if name else "<required/>")
        + "</field></x></query>"
    )


async def is_registered(play: Stage, name: str, user: str = ORCHARD) -> None:
    await play.send(iq("get", f"<query xmlns='{REGISTER}'/>", from_=user))
    await play.expect(result(asked_for(play.description, name), to=user))


async def is_taken(play: Stage, user: str = ORCHARD, id_: str = "r1") -> None:
    """A registration is accepted; its user says nothing more."""
    await play.expect(result(id_=id_, to=user))
    await play.expect(presence(G, user.partition("/")[0], "subscribe"))


@pytest.mark.conformance(
    "GW-REG-01", "GW-DISC-03", "REG7-02", "GW-BIZ-01", "GW-REG-08", "GW-EDIT-01", "AMB-01"
)
async def test_the_form_before_and_after(autojump_clock: MockClock, play: Stage) -> None:
    await is_registered(play, "")
    await play.send(register(RIGHT))
    await is_taken(play)
    await is_registered(play, "romeo")
    await is_registered(play, "romeo", BALCONY)
    await is_registered(play, "", BENVOLIO)
    await play.nothing_more()


@pytest.mark.conformance("GW-REG-02", "GW-REG-03", "GW-REG-05", "REG7-03", "REG7-06", "AMB-16")
@pytest.mark.parametrize(
    "filled_in",
    [
        RIGHT,
        login(" Ro Meo ", "montague"),
        f"{RIGHT}<email>r@montague.lit</email><nick/>",
        form(("FORM_TYPE", REGISTER), ("username", "romeo"), ("password", "montague")),
        form(("username", "romeo"), ("password", "montague")),
        form(
            ("FORM_TYPE", f"{REGISTER}:changepassword"),
            ("old_password", "capulet"),
            ("username", "ROMEO"),
            ("password", "montague"),
        ),
        login("tybalt", "wrong") + form(("username", "romeo"), ("password", "montague")),
    ],
    ids=["plain", "spelled", "unknown", "form", "untyped", "changepassword", "both"],
)
async def test_every_way_to_fill_it_in(
    autojump_clock: MockClock, play: Stage, legacy: Control, filled_in: str
) -> None:
    await play.send(register(filled_in))
    await is_taken(play)
    assert not legacy.arrived(kind="sign_on")
    await is_registered(play, "romeo")
    await play.nothing_more()


@pytest.mark.conformance("REG7-01", "REG7-03", "REG7-04", "AMB-02", "AMB-03", "REG7-09", "CORE-10")
@pytest.mark.parametrize(
    ("filled_in", "fault", "text"),
    [
        ("", NOT_ACCEPTABLE, True),
        (login("", ""), NOT_ACCEPTABLE, True),
        (login("romeo", ""), NOT_ACCEPTABLE, True),
        (login("", "montague"), NOT_ACCEPTABLE, True),
        (login("  ", "montague"), NOT_ACCEPTABLE, True),
        ("<username>romeo</username>", NOT_ACCEPTABLE, True),
        (login("x" * 65, "montague"), NOT_ACCEPTABLE, True),
        (login("romeo", "capulet"), NOT_ACCEPTABLE, True),
        (login("paris", "capulet"), NOT_ACCEPTABLE, True),
        (form(), NOT_ACCEPTABLE, True),
        (form(("username", "romeo")), NOT_ACCEPTABLE, True),
        (RIGHT + form(("username", ""), ("password", "")), NOT_ACCEPTABLE, True),
        (RIGHT + form(("username", "romeo"), ("password", "wrong")), NOT_ACCEPTABLE, True),
        (form(("FORM_TYPE", "jabber:iq:search"), ("username", "romeo")), BAD_REQUEST, True),
        (form(("username", "romeo"), type_="form"), BAD_REQUEST, True),
        (f"<remove/>{RIGHT}", BAD_REQUEST, False),
    ],
)
async def test_what_is_wrong_is_refused_and_nothing_is_kept(
    autojump_clock: MockClock,
    play: Stage,
    legacy: Control,
    filled_in: str,
    fault: tuple[str, str, str],
    text: bool,
) -> None:
    await play.send(register(filled_in))
    await play.expect(refused(fault, id_="r1", text=text))
    await is_registered(play, "")
    await play.send(presence(ORCHARD, JULIET))
    await play.nothing_more()
    assert not legacy.arrived(kind="sign_on")
    assert not play.gateway.store.accounts(G)


@pytest.mark.conformance("REG7-03")
async def test_a_form_that_is_cancelled_changes_nothing(
    autojump_clock: MockClock, play: Stage
) -> None:
    await play.send(register(form(type_="cancel")))
    await play.expect(result(id_="r1"))
    await is_registered(play, "")
    await play.register()
    await play.send(register(form(("username", "mercutio"), type_="cancel"), id_="r2"))
    await play.expect(result(id_="r2"))
    await is_registered(play, "romeo")
    await play.nothing_more()


@pytest.mark.conformance("REG7-08", "CORE-10")
async def test_who_is_not_served_may_not_register(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.send(iq("get", f"<query xmlns='{REGISTER}'/>", from_=STRANGER))
    await play.expect(refused(FORBIDDEN, to=STRANGER))
    await play.send(register(RIGHT, from_=STRANGER))
    await play.expect(refused(FORBIDDEN, id_="r1", to=STRANGER))
    await play.send(
        register(form(("username", "romeo"), ("password", "montague")), id_="r2", from_=STRANGER)
    )
    await play.expect(refused(FORBIDDEN, id_="r2", to=STRANGER))
    await play.nothing_more(STRANGER)


@pytest.mark.conformance("GW-REG-01")
async def test_one_registers_with_the_gateway_and_not_with_a_contact(
    autojump_clock: MockClock, play: Stage
) -> None:
    await play.send(iq("get", f"<query xmlns='{REGISTER}'/>", to=JULIET))
    await play.expect(refused(UNAVAILABLE, from_=JULIET, text=False))
    await play.send(register(RIGHT, to=JULIET))
    await play.expect(refused(UNAVAILABLE, id_="r1", from_=JULIET, text=False))
    await play.nothing_more()


@pytest.mark.conformance("AMB-05", "CORE-10")
@pytest.mark.parametrize("moment", [Moment.CONNECT, Moment.SIGN_ON])
async def test_a_service_that_is_down_is_no_wrong_password(
    autojump_clock: MockClock, play: Stage, legacy: Control, moment: Moment
) -> None:
    legacy.set_fault(Kind.DROP, moment=moment)
    await play.send(register(RIGHT))
    await play.expect(refused(TIMEOUT, id_="r1"))
    await is_registered(play, "")
    legacy.clear_faults()
    await play.send(register(RIGHT, id_="r2"))
    await is_taken(play, id_="r2")
    await play.nothing_more()
    await trio.sleep(2)  # the emulator's own patience with a closing handshake
    assert not legacy.connections()


@pytest.mark.conformance("AMB-05", "REG7-07")
async def test_a_service_that_is_silent_is_not_waited_for_longer_than_clients_do(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_fault(Kind.STALL_ANSWERS)
    start = trio.current_time()
    await play.send(register(RIGHT))
    await trio.sleep(40)  # longer than a stanza is waited for here
    await play.expect(refused(TIMEOUT, id_="r1"))
    assert trio.current_time() - start < 60
    legacy.clear_faults()
    await is_registered(play, "")
    await play.nothing_more()
    await trio.sleep(60)
    assert not legacy.connections()


@pytest.mark.conformance("GW-REG-07", "AMB-03")
@pytest.mark.parametrize(
    ("reason", "fault"),
    [
        (Refusal.WRONG_CREDENTIALS, NOT_ACCEPTABLE),
        (Refusal.UNKNOWN_ACCOUNT, NOT_ACCEPTABLE),
        (Refusal.SUSPENDED, NOT_ACCEPTABLE),
        (Refusal.FORBIDDEN, NOT_ACCEPTABLE),
        pytest.param(Refusal.ELSEWHERE, NOT_ACCEPTABLE, marks=pytest.mark.needs("exact refusals")),
        (Refusal.TOO_MANY_ATTEMPTS, CONSTRAINT),
        (Refusal.BUSY, TIMEOUT),
    ],
)
async def test_every_refusal_of_the_service_is_told(
    autojump_clock: MockClock,
    play: Stage,
    legacy: Control,
    reason: Refusal,
    fault: tuple[str, str, str],
) -> None:
    legacy.set_fault(Kind.REFUSE, reason=reason, text="No.", times=1)
    await play.send(register(RIGHT))
    await play.expect(refused(fault, id_="r1"))
    await is_registered(play, "")
    await play.send(register(RIGHT, id_="r2"))
    await is_taken(play, id_="r2")
    await play.nothing_more()


@pytest.mark.conformance("GW-REG-06")
@pytest.mark.parametrize("first", ["subscribed", "subscribe"])
async def test_the_gateway_is_subscribed_in_either_order(
    autojump_clock: MockClock, play: Stage, legacy: Control, first: str
) -> None:
    await play.send(register(RIGHT))
    await is_taken(play)
    second = "subscribe" if first == "subscribed" else "subscribed"
    await play.send(presence(ROMEO, G, first), presence(ROMEO, G, second))
    await play.expect(presence(G, ROMEO, "subscribed"))
    await play.expect(presence(G, ROMEO))
    await play.nothing_more()
    await play.sign_on()
    await play.nothing_more()
    assert len(legacy.arrived(kind="sign_on")) == 1


@pytest.mark.conformance("GW-REG-06")
async def test_a_client_that_does_not_subscribe_is_signed_on_all_the_same(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.send(register(RIGHT))
    await is_taken(play)
    await play.send(presence(ROMEO, G, "subscribed"), presence(ORCHARD, G))
    await play.expect(presence(G, ROMEO))
    await play.nothing_more()
    assert len(legacy.arrived(kind="sign_on")) == 1


@pytest.mark.conformance("GW-REG-06", "AMB-15")
async def test_who_declines_the_gateway_stays_registered(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.send(register(RIGHT))
    await is_taken(play)
    await play.send(presence(ROMEO, G, "unsubscribed"))
    await play.nothing_more()
    await is_registered(play, "romeo")
    await play.nothing_more()
    assert not legacy.arrived(kind="sign_on")


@pytest.mark.conformance("GW-REG-04", "GW-REG-06", "DELAY-01")
async def test_what_waits_at_the_service_comes_after_the_login_presence(
    autojump_clock: MockClock, play: Stage, legacy: Control, cast: Cast
) -> None:
    legacy.set_presence("Juliet", Show.AWAY)
    legacy.send_message("Juliet", "Romeo", "wherefore art thou?")
    await play.register()
    await play.nothing_more()
    await play.sign_on()
    await play.expect(presence(JULIET, ROMEO, inside="<show>away</show>"))
    delay = f"<delay xmlns='urn:xmpp:delay' from='{G}' stamp='*'/>"
    came = await play.expect(said("wherefore art thou?", beside=delay))
    assert str(came[1].get("stamp"))[:19] == cast.stamp("2031-03-14T15:09:26Z")[:19]
    await play.nothing_more()
    assert not legacy.kept("Romeo")


@pytest.mark.conformance("AMB-27", "CORE-06")
async def test_two_sets_at_once_are_worked_off_in_order(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.send(
        register(login("mercutio", "queenmab")),
        register(RIGHT, id_="r2", from_=BALCONY),
        register(login("romeo", "wrong"), id_="r3"),
    )
    await is_taken(play)
    await play.expect(result(id_="r2", to=BALCONY))
    await play.expect(refused(NOT_ACCEPTABLE, id_="r3"))
    await is_registered(play, "romeo")
    await play.nothing_more()
    assert len(play.gateway.store.accounts(G)) == 1


@pytest.mark.conformance("AMB-27")
async def test_a_flood_of_sets_is_refused_and_each_is_answered_once(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    legacy.set_fault(Kind.STALL_ANSWERS)
    await play.send(register(RIGHT, id_="r0"))
    await play.nothing_more()
    await play.send(*[register(RIGHT, id_=f"r{number}") for number in range(1, 8)])
    await play.expect(refused(CONSTRAINT, id_="r6"))
    await play.expect(refused(CONSTRAINT, id_="r7"))
    await play.nothing_more()
    legacy.clear_faults()
    await is_taken(play, id_="r0")
    for number in range(1, 6):
        await play.expect(result(id_=f"r{number}"))
    await play.nothing_more()


@pytest.mark.conformance("AMB-30")
async def test_two_users_may_register_one_account(
    autojump_clock: MockClock, play: Stage, legacy: Control
) -> None:
    await play.send(register(RIGHT), register(RIGHT, id_="r2", from_=BENVOLIO))
    await play.expect_all(
        result(id_="r1"),
        presence(G, ROMEO, "subscribe"),
        result(id_="r2", to=BENVOLIO),
        presence(G, BENVOLIO.partition("/")[0], "subscribe"),
    )
    await is_registered(play, "romeo")
    await is_registered(play, "romeo", BENVOLIO)
    await play.nothing_more()
