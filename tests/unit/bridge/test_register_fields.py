"""What a registration asks for, on networks that need more than a name and a password."""

import attrs
import pytest
from trio.testing import MockClock

from gateway.networks.base import Description, Field, InvalidAddress
from tests.fakes.network import FakeNetwork, fake
from tests.fakes.stage import ORCHARD, ROMEO, G, Stage

REGISTER = "jabber:iq:register"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
NAME, PASSWORD = Field("username", "Name"), Field("password", "Password", secret=True)
NICK = Field("nick", "Nickname", required=False)
DEVICE = Field("x-device", "Device", required=False)
PIN = Field("x-pin", "PIN", secret=True)
PLACE = Field("x-place", "Place", required=False, options=("here", "there"), default="here")
WHAT = "Enter your Fakenet name and password."
ASK = f"<iq type='get' id='g1' from='{ORCHARD}' to='{G}'><query xmlns='{REGISTER}'/></iq>"


@pytest.fixture
def fields() -> tuple[Field, ...]:
    return (NAME, PASSWORD)


@pytest.fixture
def net(fields: tuple[Field, ...]) -> type[FakeNetwork]:
    world = fake()

    class Asking(world):  # type: ignore[misc, valid-type]
        description: Description = attrs.evolve(world.description, fields=fields)

    return Asking


def form_field(name: str, type_: str, label: str, *, required: bool, value: str = "") -> str:
    inside = ("<required/>" if required else "") + (f"<value>{value}</value>" if value else "")
    return f"<field var='{name}' type='{type_}' label='{label}'>{inside}</field>"


def asked(plain: str, *fields: str, registered: bool = False) -> str:
    return (
        f"<iq type='result' id='g1' from='{G}' to='{ORCHARD}'><query xmlns='{REGISTER}'>"
        + ("<registered/>" if registered else "")
        + f"<instructions>{WHAT}</instructions>{plain}"
        f"<x xmlns='jabber:x:data' type='form'><title>Fakenet</title>"
        f"<instructions>{WHAT}</instructions>"
        f"<field var='FORM_TYPE' type='hidden'><value>{REGISTER}</value></field>"
        f"{''.join(fields)}</x></query></iq>"
    )


def filled(*values: tuple[str, str]) -> str:
    inside = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in values)
    return (
        f"<iq type='set' id='r1' from='{ORCHARD}' to='{G}'><query xmlns='{REGISTER}'>"
        f"<x xmlns='jabber:x:data' type='submit'>{inside}</x></query></iq>"
    )


NAME_FIELD = form_field("username", "text-single", "Name", required=True)
PASSWORD_FIELD = form_field("password", "text-private", "Password", required=True)


@pytest.mark.conformance("REG7-01", "REG7-02", "GW-BIZ-01")
@pytest.mark.parametrize("fields", [(NAME, PASSWORD, NICK, DEVICE)])
async def test_what_the_schema_names_is_plain_and_the_rest_is_in_the_form(
    autojump_clock: MockClock, play: Stage
) -> None:
    await play.send(ASK)
    await play.expect(
        asked(
            "<username/><password/><nick/>",
            NAME_FIELD,
            PASSWORD_FIELD,
            form_field("nick", "text-single", "Nickname", required=False),
            form_field("x-device", "text-single", "Device", required=False),
        )
    )
    await play.nothing_more()


def place(value: str) -> str:
    options = "".join(f"<option><value>{one}</value></option>" for one in PLACE.options)
    return (
        "<field var='x-place' type='list-single' label='Place'>"
        f"<value>{value}</value>{options}</field>"
    )


@pytest.mark.conformance("REG7-02", "AMB-01")
@pytest.mark.parametrize("fields", [(NAME, PASSWORD, PLACE)])
async def test_a_choice_is_offered_kept_and_not_undone_by_plain_fields(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    def kept() -> dict[str, str]:
        [account] = play.gateway.store.accounts(G)
        return dict(account.fields)

    done = f"<iq type='result' id='r1' from='{G}' to='{ORCHARD}'/>"
    await play.send(ASK)
    await play.expect(asked("<username/><password/>", NAME_FIELD, PASSWORD_FIELD, place("here")))
    new = (("username", "romeo"), ("password", "montague"))
    await play.send(filled(*new, ("x-place", "nowhere")))
    await play.expect(
        f"<iq type='error' id='r1' from='{G}' to='{ORCHARD}'><error type='modify' code='406'>"
        f"<not-acceptable xmlns='{STANZAS}'/><text xmlns='{STANZAS}' xml:lang='en'>"
        "For Place, choose one of these: here, there.</text></error></iq>"
    )
    assert not net.attempts
    await play.send(filled(*new, ("x-place", "there")))
    await play.expect(done)
    await play.expect(f"<presence type='subscribe' from='{G}' to='{ROMEO}'/>")
    assert [dict(one.fields) for one in net.attempts] == [{"x-place": "there"}]
    assert kept() == {"x-place": "there"}
    await play.send(
        f"<iq type='set' id='r1' from='{ORCHARD}' to='{G}'><query xmlns='{REGISTER}'>"
        "<username>romeo</username><password>montague</password></query></iq>"
    )
    await play.expect(done)
    assert kept() == {"x-place": "there"}
    await play.send(ASK)
    await play.expect(
        asked(
            "<username>romeo</username><password/>",
            form_field("username", "text-single", "Name", required=True, value="romeo"),
            form_field("password", "text-private", "Password", required=False),
            place("there"),
            registered=True,
        )
    )
    await play.send(filled(("username", "romeo"), ("x-place", "here")))
    await play.expect(done)
    assert kept() == {"x-place": ""}  # whatever is meant by nothing
    await play.nothing_more()


@pytest.mark.conformance("GW-EDIT-04", "AMB-01", "AMB-03")
@pytest.mark.parametrize("fields", [(NAME, PASSWORD, attrs.evolve(PLACE, names_account=True))])
async def test_the_same_name_elsewhere_is_another_account(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    def kept() -> tuple[int, str, dict[str, str]]:
        [account] = play.gateway.store.accounts(G)
        return account.account_id, account.secret, dict(account.fields)

    done = f"<iq type='result' id='r1' from='{G}' to='{ORCHARD}'/>"
    await play.send(filled(("username", "romeo"), ("password", "montague")))
    await play.expect(done)
    await play.expect(f"<presence type='subscribe' from='{G}' to='{ROMEO}'/>")
    first, secret, there = kept()
    assert (secret, there) == ("montague", {"x-place": ""})
    tried = len(net.attempts)
    await play.send(filled(("username", "romeo"), ("x-place", "there")))
    await play.expect(
        f"<iq type='error' id='r1' from='{G}' to='{ORCHARD}'><error type='modify' code='406'>"
        f"<not-acceptable xmlns='{STANZAS}'/><text xmlns='{STANZAS}' xml:lang='en'>"
        "Please fill in: Password.</text></error></iq>"
    )
    assert len(net.attempts) == tried  # nobody there is told the password from here
    await play.send(filled(("username", "romeo"), ("password", "montague"), ("x-place", "there")))
    await play.expect(done)
    second, secret, there = kept()
    assert (secret, there) == ("montague", {"x-place": "there"})
    assert second != first  # nothing that waited for the old one goes to the new
    await play.send(filled(("username", "romeo")))  # what is not said stays
    await play.expect(done)
    assert kept() == (second, "montague", {"x-place": "there"})


@pytest.mark.conformance("GW-EDIT-04", "AMB-03")
@pytest.mark.parametrize("fields", [(NAME, PASSWORD, attrs.evolve(PLACE, names_account=True))])
async def test_a_password_is_not_for_what_takes_the_place_of_a_choice_that_is_gone(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    done = f"<iq type='result' id='r1' from='{G}' to='{ORCHARD}'/>"
    await play.send(filled(("username", "romeo"), ("password", "montague"), ("x-place", "there")))
    await play.expect(done)
    await play.expect(f"<presence type='subscribe' from='{G}' to='{ROMEO}'/>")
    net.description = attrs.evolve(net.description, fields=(NAME, PASSWORD))
    tried = len(net.attempts)
    await play.send(filled(("username", "romeo")))
    await play.expect(
        f"<iq type='error' id='r1' from='{G}' to='{ORCHARD}'><error type='modify' code='406'>"
        f"<not-acceptable xmlns='{STANZAS}'/><text xmlns='{STANZAS}' xml:lang='en'>"
        "Please fill in: Password.</text></error></iq>"
    )
    assert len(net.attempts) == tried
    await play.send(filled(("username", "romeo"), ("password", "montague")))
    await play.expect(done)


@pytest.mark.conformance("REG7-01", "REG7-02", "GW-BIZ-01", "AMB-03")
@pytest.mark.parametrize("fields", [(NAME, PASSWORD, PIN)])
async def test_a_field_that_only_the_form_can_ask_for_leaves_the_form_alone(
    autojump_clock: MockClock, play: Stage, net: type[FakeNetwork]
) -> None:
    pin = form_field("x-pin", "text-private", "PIN", required=True)
    await play.send(ASK)
    await play.expect(asked("", NAME_FIELD, PASSWORD_FIELD, pin))
    plain = (
        f"<iq type='set' id='r1' from='{ORCHARD}' to='{G}'><query xmlns='{REGISTER}'>"
        "<username>romeo</username><password>montague</password></query></iq>"
    )
    without = filled(("username", "romeo"), ("password", "montague"))
    empty = filled(("username", "romeo"), ("password", "montague"), ("x-pin", ""))
    for incomplete in (plain, without, empty):
        await play.send(incomplete)
        await play.expect(
            f"<iq type='error' id='r1' from='{G}' to='{ORCHARD}'><error type='modify' code='406'>"
            f"<not-acceptable xmlns='{STANZAS}'/>"
            f"<text xmlns='{STANZAS}' xml:lang='en'>*</text></error></iq>"
        )
    assert not net.attempts
    assert not play.gateway.store.accounts(G)
    await play.send(filled(("username", "romeo"), ("password", "montague"), ("x-pin", "1594")))
    await play.expect(f"<iq type='result' id='r1' from='{G}' to='{ORCHARD}'/>")
    await play.expect(f"<presence type='subscribe' from='{G}' to='{ROMEO}'/>")
    [tried] = net.attempts
    assert (tried.address, tried.secret) == ("romeo", "montague")
    assert dict(tried.fields) == {"x-pin": "1594"}
    [kept] = play.gateway.store.accounts(G)
    assert dict(kept.fields) == {"x-pin": "1594"}
    # What is on record and secret is not shown, and may be left out.
    await play.send(ASK)
    await play.expect(
        asked(
            "",
            form_field("username", "text-single", "Name", required=True, value="romeo"),
            form_field("password", "text-private", "Password", required=False),
            form_field("x-pin", "text-private", "PIN", required=False),
            registered=True,
        )
    )
    await play.send(filled(("username", "romeo")))
    await play.expect(f"<iq type='result' id='r1' from='{G}' to='{ORCHARD}'/>")
    [kept] = play.gateway.store.accounts(G)
    assert (kept.secret, dict(kept.fields)) == ("montague", {"x-pin": "1594"})
    await play.nothing_more()


def _five_letters(text: str) -> str:
    if len(text) != 5:
        raise InvalidAddress("an account has five letters")
    return text.lower()


@pytest.mark.parametrize(
    "fields", [(attrs.evolve(NAME, canonical=_five_letters), PASSWORD)], ids=["five letters"]
)
async def test_accounts_may_be_narrower_than_addresses(
    autojump_clock: MockClock, play: Stage
) -> None:
    await play.send(filled(("username", "juliet"), ("password", "capulet")))
    refused = await play.link.next_stanza()
    assert "".join(refused.itertext()) == "an account has five letters"
    await play.send(filled(("username", "Romeo"), ("password", "montague")))
    assert (await play.link.next_stanza()).get("type") == "result"
