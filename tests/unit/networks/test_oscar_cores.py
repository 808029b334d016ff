"""The cores of AIM and ICQ by themselves: rates, splitting, redirects, names, and hostile SNACs."""

import contextlib
from datetime import UTC, datetime
from itertools import pairwise

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import ConnectionLost, RemoteProtocolError
from gateway.host import Address, RealHost
from gateway.networks.base import Capabilities, InvalidAddress, LegacyEvent, LoginRefused, SignedOff
from gateway.networks.oscar import Aim, Icq
from gateway.networks.oscar.protocol import (
    Moment,
    OfflineStore,
    Session,
    Traits,
    canonical_screen_name,
    canonical_uin,
)
from gateway.networks.oscar.protocol.outbox import Outbox, Outgoing
from gateway.networks.oscar.protocol.rates import RateLimits
from gateway.networks.oscar.protocol.talk import Dialect
from gateway.networks.oscar.protocol.writing import Reader, pieces
from gateway.networks.oscar.settings import (
    PRESETS,
    AimSettings,
    IcqSettings,
    Settings,
    address_of,
    redirected,
)
from gateway.networks.oscar.wire import (
    KeepAlive,
    Packet,
    SignOn,
    Snac,
    Unknown,
    decode_snac,
    encode_snac,
    feedbag,
    general,
    html,
    known_bodies,
    messages,
    number_of,
    people,
    text,
)

MESSAGES = general.RateClass(3, 20, 5100, 5000, 4000, 3000, 6000, 6000)
SEND = general.Version(4, 6)
PARAMETERS = general.RateParameters(((MESSAGES,), (general.RateMembers(3, (SEND,)),)))


# --- rates ------------------------------------------------------------------------------------


def test_three_messages_at_once_and_then_one_in_five_seconds() -> None:
    limits = RateLimits()
    limits.learn(PARAMETERS, 0.0)
    now, sent = 0.0, []
    for _ in range(10):
        now += limits.wait(3, now)
        limits.sent(3, now)
        sent.append(round(now, 2))
    assert sent[:3] == [0.0, 0.0, 0.0]
    assert sent[3] == pytest.approx(4.3, abs=0.3)
    assert all(4.9 < after - before < 5.3 for before, after in pairwise(sent[4:]))
    assert not limits.is_pressed


def test_what_belongs_to_no_class_never_waits() -> None:
    limits = RateLimits()
    limits.learn(PARAMETERS, 0.0)
    assert limits.class_of(1, 0x0E) == 0
    assert limits.wait(0, 0.0) == limits.wait(77, 0.0) == 0.0
    limits.sent(77, 0.0)


@given(
    numbers=st.lists(st.integers(0, 0xFFFFFFFF), min_size=7, max_size=7),
    code=st.integers(0, 5),
    pauses=st.lists(st.floats(0, 1e6), max_size=5),
)
def test_no_rate_class_makes_us_wait_for_ever(
    numbers: list[int], code: int, pauses: list[float]
) -> None:
    limits = RateLimits()
    limits.learn(PARAMETERS, 0.0)
    limits.change(general.RateChange(code, general.RateClass(3, *numbers)), 0.0)
    now = 0.0
    for pause in pauses:
        now += pause
        assert 0 <= limits.wait(3, now) <= 300
        assert 0 <= limits.wait(3, now, spare=True) <= 300
        limits.sent(3, now)


def test_one_class_does_not_hold_up_another_and_keeps_its_order() -> None:
    outbox = Outbox()
    outbox.limits.learn(PARAMETERS, 0.0)
    sends = [
        Outgoing(Snac(messages.Send(cookie=bytes(8), channel=1, to="b"), number), f"{number}")
        for number in range(1, 7)
    ]
    for one in sends[:5]:
        outbox.put(one)
    other, alive = Outgoing(Snac(general.Probe())), Outgoing(KeepAlive())
    outbox.put(other)
    outbox.put(alive)
    outbox.put_spare(sends[5])
    taken = []
    while (ready := outbox.take(0.0)) is not None:
        taken.append(ready)
    assert taken == [*sends[:3], other, alive]
    assert 4 < outbox.wait(0.0) < 5
    outbox.drop("4")
    assert not outbox.holds("4")
    assert outbox.take(5.0) is sends[4]
    assert outbox.take(5.1) is None  # there is room for what matters, and none to spare
    assert outbox.take(60.0) is sends[5]
    assert outbox.wait(60.0) == float("inf")


# --- splitting --------------------------------------------------------------------------------

DIALECTS = [
    Dialect(own_is_uin=False, code_page="cp1252", strips_html=False),
    Dialect(own_is_uin=True, code_page="cp1252", strips_html=True),
]
LETTERS = st.characters(exclude_categories=["Cs", "Cc"])
READERS = [Reader("10002"), Reader("10002", may_be_away=False)]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("reader", READERS)
@given(
    said=st.lists(st.text(LETTERS, max_size=300), max_size=8).map(" ".join),
    most=st.integers(200, 600),
)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_pieces_fit_and_say_the_same(
    dialect: Dialect, reader: Reader, said: str, most: int
) -> None:
    found = pieces(said, reader, dialect, most)
    assert all(len(messages.encode_parts(piece, b"")) <= most + 12 for piece in found)
    read = [text.decode_parts_text(piece) for piece in found]
    if not dialect.own_is_uin:
        read = [html.from_html(one) for one in read]
    # A blank at a seam is gone, and nothing else.
    assert "".join("".join(read).split(" ")) == "".join(said.split(" "))


def test_pieces_end_at_blanks_and_never_inside_a_character() -> None:
    dialect, reader = DIALECTS[1], READERS[1]
    words = pieces("aaaa bbbb cccc dddd", reader, dialect, 11)
    assert [part.data for [part] in words] == [b"aaaa bbbb", b"cccc dddd"]
    faces = pieces("\N{PILE OF POO}" * 5, reader, dialect, 10)
    assert [len(part.data) for [part] in faces] == [8, 8, 4]


# --- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "canonical"),
    [("Capulet Nurse", "capuletnurse"), (" CAPULET nurse ", "capuletnurse"),
     ("Romeo@Mac.com", "romeo@mac.com"), ("10001", "10001"), ("a" * 97, "a" * 97)],
)  # fmt: skip
def test_screen_names_fold_case_and_spaces(name: str, canonical: str) -> None:
    assert Aim.canonical(name) == canonical_screen_name(name) == canonical


@pytest.mark.parametrize("name", ["", "  ", "a\tb", "@x", "a" * 98, "a/b", "caf\xe9", "\u0661"])
def test_what_is_no_screen_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidAddress, match="screen name"):
        canonical_screen_name(name)


@pytest.mark.parametrize(
    ("name", "canonical"),
    [("12345678", "12345678"), ("12-345-678", "12345678"), (" 12 345 678", "12345678"),
     ("0012345", "12345"), ("2147483646", "2147483646")],
)  # fmt: skip
def test_numbers_drop_dashes_and_spaces(name: str, canonical: str) -> None:
    assert Icq.canonical(name) == canonical_uin(name) == canonical


@pytest.mark.parametrize(
    "name",
    ["", "-", "9999", "2147483647", "99999999999", "12a45", "\u0661\u0662\u0663\u0664\u0665"],
)
def test_what_is_no_number_is_refused(name: str) -> None:
    with pytest.raises(InvalidAddress, match="ICQ number"):
        canonical_uin(name)


@pytest.mark.parametrize(
    ("name", "canonical"),
    [("12-345 678", "12345678"), ("Capulet Nurse", "capuletnurse"), ("a-b c", "a-bc"),
     ("Romeo@Mac.com", "romeo@mac.com")],
)  # fmt: skip
def test_numbers_talk_to_screen_names(name: str, canonical: str) -> None:
    assert Icq.canonical(name) == canonical
    assert Icq.canonical(canonical) == canonical


@pytest.mark.parametrize("name", ["", "-", "9999", "99999999999", "caf\xe9", "a" * 98, "\u0661"])
def test_neither_number_nor_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidAddress, match="ICQ number has five digits"):
        Icq.canonical(name)


def test_an_account_of_icq_is_a_number() -> None:
    [username] = [one for one in Icq.description.fields if one.name == "username"]
    assert username.canonical is not None
    assert username.canonical("12-345") == "12345"
    with pytest.raises(InvalidAddress, match="ICQ number"):
        username.canonical("juliet")


# --- settings ---------------------------------------------------------------------------------


def aim(**given: object) -> Settings:
    said: dict[str, object] = {"host": "oscar.example", "tls": "off", **given}
    return AimSettings(**said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, Address("oscar.example", 5190)),
        ({"tls": "on"}, Address("oscar.example", 5190, tls=True)),
        ({"port": 4000}, Address("oscar.example", 4000)),
        ({"preset": "open-oscar-server"}, Address("oscar.example", 5190)),
        (
            {"preset": "open-oscar-server", "tls": "on"},
            Address("oscar.example", 5193, tls=True),
        ),
    ],
)
def test_presets_know_the_port(given: dict[str, object], address: Address) -> None:
    assert address_of(aim(**given)) == address


def test_a_redirect_in_tls_stays_in_tls() -> None:
    settings = aim(tls="on")
    assert redirected(settings, "oscar.example:99", 1) == Address("oscar.example", 99, tls=True)
    assert redirected(settings, "oscar.example:99", 0) == address_of(settings)
    with pytest.raises(RemoteProtocolError, match="no TLS"):
        redirected(aim(tls="on", redirect="follow"), "oscar.example:99", 0)
    with pytest.raises(RemoteProtocolError, match="allow_hosts"):
        redirected(settings, "evil.example:99", 1)
    assert redirected(aim(), "oscar.example:99", 2) == Address("oscar.example", 99, tls=True)


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("OSCAR.EXAMPLE.:1", Address("oscar.example", 1)),
        ("oscar.example..:1", Address("oscar.example", 1)),
        ("]oscar.example[", Address("oscar.example", 5190)),
        ("[::1]", Address("::1", 5190)),
        ("::1", Address("::1", 5190)),
        ("[0:0::1]:7", Address("::1", 7)),
    ],
)
def test_addresses_are_compared_by_what_they_mean(told: str, address: Address) -> None:
    assert redirected(aim(allow_hosts=("::1",)), told, 0) == address


@pytest.mark.parametrize(
    "told", ["oscar.example:0", "oscar.example:65536", "oscar.example:\u0661", ":5190", "[]:1",
             "oscar.example:" + "9" * 5_000, "oscar.example:00001" + "9" * 5_000,
             "oscar.example:000001", "oscar.example :1", " oscar.example", "oscar.example\0",
             "oscar.example\0.evil.example:1", "127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1",
             "::1%lo", "oscar.example@evil.example", "evil.example/oscar.example",
             "\udcffoscar.example", "oscar.example:1:2", "localhost", ".", "\n"]
)  # fmt: skip
def test_what_is_no_address_is_told_so(told: str) -> None:
    with pytest.raises(RemoteProtocolError):
        redirected(aim(), told, 0)


def test_every_preset_is_offered_to_some_network() -> None:
    offered = {
        *attrs.fields(AimSettings).preset.type.__args__,  # type: ignore[union-attr]
        *attrs.fields(IcqSettings).preset.type.__args__,  # type: ignore[union-attr]
    }
    assert offered == set(PRESETS)


def test_a_network_takes_its_own_settings_alone() -> None:
    with pytest.raises(TypeError, match="AimSettings"):
        Aim(RealHost(), IcqSettings(host="h", tls="off"))


# --- hostile SNACs ----------------------------------------------------------------------------

NOON = Moment(0.0, datetime(2026, 4, 1, 12, tzinfo=UTC))
ALLOWED = (RemoteProtocolError, ConnectionLost, LoginRefused, SignedOff)


def new_session(own: str) -> Session:
    """A session that has not begun."""
    traits = Traits(
        canonical=canonical_uin if own.isdigit() else canonical_screen_name,
        offered=Capabilities(groups=True, deny=True, search=True),
        several=True,
        code_page="cp1252",
        strips_html=False,
        has_utf8_directory=False,
        refuses_kept=False,
        forgets_mime=False,
        offline=OfflineStore.BOTH,
        message_bytes=None,
        answer_seconds=30,
        retry_seconds=60,
    )
    return Session(own, own, b"cookie", traits, b"abcd")


def session(own: str) -> Session:
    """A session that is online."""
    made = new_session(own)
    made.receive(SignOn(), NOON)
    made.receive(Snac(general.HostOnline((1, 2, 3, 4, 9, 0x13, 0x15))), NOON)
    made.receive(Snac(general.HostVersions()), NOON)
    for _ in range(100):
        outgoing = made.requests.outbox.take(0.0)
        if outgoing is None:
            break
        if isinstance(outgoing.packet, Snac):
            answer = ANSWERS.get(type(outgoing.packet.body))
            if answer is not None:
                made.receive(Snac(answer, outgoing.packet.request), NOON)
    assert made.is_online
    return made


ANSWERS = {
    general.RateQuery: PARAMETERS,
    general.OwnInfoQuery: general.OwnInfo((people.UserInfo("Romeo"),)),
    people.LocateRightsQuery: people.LocateRights(),
    people.BuddyRightsQuery: people.BuddyRights(),
    messages.ParametersQuery: messages.Parameters(0, 0, 8000, 0, 0, 0),
    people.PermitRightsQuery: people.PermitRights(),
    feedbag.FeedbagRightsQuery: feedbag.FeedbagRights(),
    feedbag.FeedbagQuery: feedbag.Feedbag(0, (), 0),
}
NUMBERS = sorted(
    {number_of(cls.__new__(cls)) for cls in known_bodies()} | {(group, 1) for group in range(1, 24)}
)


@pytest.mark.parametrize("own", ["romeo", "10001"])
@given(
    snacs=st.lists(
        st.tuples(
            st.sampled_from(NUMBERS),
            st.sampled_from([0, 1, 2, 5, 9, 12, 0x80000000]),
            st.sampled_from([0, 1, 0x8000]),
            st.binary(max_size=60),
        ),
        max_size=8,
    )
)
@settings(deadline=None)
def test_no_snac_does_more_than_end_the_session(
    own: str, snacs: list[tuple[tuple[int, int], int, int, bytes]]
) -> None:
    made = session(own)
    events: list[LegacyEvent] = []
    with contextlib.suppress(*ALLOWED):
        for (group, subtype), request, flags, body in snacs:
            raw = encode_snac(Snac(Unknown(group, subtype, body), request, flags))
            raw = raw[:4] + flags.to_bytes(2, "big") + raw[6:]
            events += made.receive(decode_snac(raw), NOON)
    for event in events:
        f"{event}".encode()  # plain text, without half surrogate pairs
    packets: list[Packet] = []
    while (outgoing := made.requests.outbox.take(1e9)) is not None:
        packets.append(outgoing.packet)
    for packet in packets:
        if isinstance(packet, Snac):
            encode_snac(packet)
