"""The service's domain: who sees whom, what is kept, what is refused."""

import pytest

from legacy_emu import events
from legacy_emu.backend import Backend
from legacy_emu.control import Control
from legacy_emu.events import (
    OFFLINE,
    Look,
    Reason,
    Refusal,
    RequestRefused,
    Show,
    SignOnRefused,
    TypingState,
)
from legacy_emu.names import NameRefused
from legacy_emu.people import Session
from legacy_emu.policy import MAX_TEXT_BYTES, Policy
from legacy_emu.service import Service


class Ear:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.heard: list[events.Event] = []

    def put(self, event: events.Event) -> None:
        self.heard.append(event)

    def of(self, kind: type[events.Event]) -> list[events.Event]:
        return [event for event in self.heard if isinstance(event, kind)]


def on(backend: Backend, name: str) -> tuple[Ear, Session]:
    ear = Ear()
    return ear, backend.sign_on(name, f"{name}-pw", ear)


@pytest.fixture
def backend(service: Service, control: Control) -> Backend:
    del control  # it made the accounts
    return service.backend


def refused(reason: Reason) -> "pytest.RaisesExc[RequestRefused]":
    return pytest.raises(RequestRefused, check=lambda exc: exc.reason is reason)


def test_an_account_is_made_once_in_any_spelling(backend: Backend) -> None:
    with pytest.raises(NameRefused, match="already"):
        backend.create_account("R o m E o", "x")
    with pytest.raises(NameRefused):
        backend.create_account(" ", "x")
    assert backend.person("ROMEO").display == "romeo"


def test_credentials_are_checked(backend: Backend) -> None:
    for name, password, reason in (
        ("romeo", "x", Refusal.WRONG_CREDENTIALS),
        ("rosaline", "x", Refusal.UNKNOWN_ACCOUNT),
        ("", "x", Refusal.UNKNOWN_ACCOUNT),
    ):
        with pytest.raises(SignOnRefused) as no:
            backend.check(name, password)
        assert no.value.reason is reason


def test_a_new_sign_on_ends_the_old_unless_several_are_allowed(backend: Backend) -> None:
    first, _ = on(backend, "romeo")
    on(backend, "romeo")
    [end] = first.of(events.SessionEnded)
    assert isinstance(end, events.SessionEnded)
    assert end.reason is Refusal.ELSEWHERE
    backend.policy = Policy(several_sign_ons=True)
    second, _ = on(backend, "romeo")
    third, _ = on(backend, "romeo")
    assert not second.of(events.SessionEnded)
    backend.send_message("juliet", "romeo", "to both")
    assert len(second.of(events.MessageArrived)) == len(third.of(events.MessageArrived)) == 1


def test_own_messages_are_shown_to_the_other_sign_ons(backend: Backend) -> None:
    backend.policy = Policy(several_sign_ons=True)
    (writing, session), (other, _) = on(backend, "romeo"), on(backend, "romeo")
    backend.send_message("romeo", "juliet", "Hello", session=session, ref="1")
    [copy] = other.of(events.MessageArrived)
    assert isinstance(copy, events.MessageArrived)
    assert (copy.outgoing, copy.conversation, copy.sender) == (True, "juliet", "romeo")
    assert not writing.of(events.MessageArrived)


def test_only_who_may_see_sees_and_only_changes_are_told(backend: Backend) -> None:
    backend.befriend("juliet", "romeo")  # she sees him, he does not see her
    juliet, _ = on(backend, "juliet")
    romeo, session = on(backend, "romeo")
    tybalt, _ = on(backend, "tybalt")
    away = Look(Show.AWAY, "out")
    for _ in range(2):
        backend.set_presence(session, away)
    backend.set_presence(session, Look(Show.INVISIBLE))
    backend.sign_off(session)
    assert juliet.of(events.PresenceShown) == [
        events.PresenceShown("romeo", Look(Show.ONLINE)),
        events.PresenceShown("romeo", away),
        events.PresenceShown("romeo", OFFLINE),
    ]
    assert not romeo.of(events.PresenceShown)
    assert not tybalt.of(events.PresenceShown)


def test_a_presence_for_all_ends_those_for_single_ones(backend: Backend) -> None:
    backend.befriend("juliet", "romeo")
    _, session = on(backend, "romeo")
    backend.set_presence(session, Look(Show.INVISIBLE), ("Juliet",))
    assert backend.look_of("romeo", "juliet") == OFFLINE
    backend.set_presence(session, Look(Show.DND))
    assert backend.look_of("romeo", "juliet") == Look(Show.DND)


def test_who_is_blocked_sees_nothing_and_reaches_nobody(backend: Backend) -> None:
    backend.befriend("tybalt", "romeo")
    tybalt, _ = on(backend, "tybalt")
    romeo, _ = on(backend, "romeo")
    backend.set_blocked("romeo", "tybalt", blocked=True)
    assert tybalt.heard[-1] == events.PresenceShown("romeo", OFFLINE)
    for attempt in (backend.nudge, lambda a, b: backend.send_message(a, b, "Villain!")):
        with refused(Reason.BLOCKED):
            attempt("tybalt", "romeo")
    backend.typing("tybalt", "romeo", TypingState.COMPOSING)
    backend.remove_contact("tybalt", "romeo")
    backend.add_contact("tybalt", "romeo")
    assert not romeo.of(events.TypingShown)
    assert not romeo.of(events.RequestArrived)
    backend.set_blocked("romeo", "tybalt", blocked=False)
    backend.send_message("tybalt", "romeo", "Peace?")
    assert romeo.of(events.MessageArrived)


def test_messages_are_kept_until_acknowledged_and_receipts_follow(backend: Backend) -> None:
    ear, session = on(backend, "romeo")
    number = backend.send_message("romeo", "juliet", "Hello", session=session, ref="r")
    assert ear.heard[-1] == events.MessageAccepted("r", number)
    juliet, _ = on(backend, "juliet")
    [kept] = juliet.of(events.MessageArrived)
    assert isinstance(kept, events.MessageArrived)
    assert kept.id == number
    assert kept.sent_at is not None
    backend.acknowledge("juliet", (number, number, "no such id"))
    assert ear.of(events.MessageDelivered) == [events.MessageDelivered("r", number)]
    assert backend.kept_ids("juliet") == ()


def test_without_offline_messages_only_what_was_handed_out_is_kept(backend: Backend) -> None:
    backend.policy = Policy(offline_messages=False)
    with refused(Reason.OFFLINE_NOT_STORED):
        backend.send_message("romeo", "juliet", "Hello?")
    _, session = on(backend, "juliet")
    number = backend.send_message("romeo", "juliet", "Hello")
    backend.sign_off(session)
    assert backend.kept_ids("juliet") == (number,)
    again, _ = on(backend, "juliet")
    assert [getattr(event, "id", None) for event in again.of(events.MessageArrived)] == [number]


def test_what_was_acknowledged_can_be_replayed_under_its_id(backend: Backend) -> None:
    ear, _ = on(backend, "juliet")
    first = backend.send_message("romeo", "juliet", "one")
    backend.acknowledge("juliet", (first,))
    second = backend.send_message("romeo", "juliet", "two")
    assert backend.replay("juliet") == 2
    assert [getattr(event, "id", None) for event in ear.heard[-2:]] == [first, second]
    assert all(getattr(event, "sent_at", None) for event in ear.heard[-2:])


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("x" * (MAX_TEXT_BYTES - 2), True),
        ("x" * (MAX_TEXT_BYTES - 1), False),
        ("\0" * (MAX_TEXT_BYTES // 6), False),
        ("\N{PILE OF POO}" * 25_000, True),
        ("\ud800" * 30_000, True),
    ],
)
def test_a_text_is_weighed_as_it_goes_over_the_wire(
    backend: Backend, text: str, fits: bool
) -> None:
    if fits:
        backend.send_message("romeo", "juliet", text)
        return
    with refused(Reason.TOO_LONG):
        backend.send_message("romeo", "juliet", text)
    with refused(Reason.TOO_LONG):
        backend.add_contact("romeo", "juliet", text)


def test_asking_granting_and_revoking(backend: Backend) -> None:
    romeo, _ = on(backend, "romeo")
    juliet, _ = on(backend, "juliet")
    assert backend.add_contact("romeo", "juliet", reason="love") is False
    assert backend.add_contact("romeo", "juliet", reason="love!") is False
    [request] = juliet.of(events.RequestArrived)  # one waits already
    assert isinstance(request, events.RequestArrived)
    assert request.reason == "love"
    [contact] = backend.contacts("juliet")
    assert (contact.asking, contact.seen_by) == (True, False)
    backend.grant("juliet", "romeo")
    assert backend.kept_ids("juliet") == ()  # answered: nobody needs to be reminded
    [answer] = romeo.of(events.AnswerArrived)
    assert isinstance(answer, events.AnswerArrived)
    assert answer.granted
    assert romeo.heard[-1] == events.PresenceShown("juliet", Look(Show.ONLINE))
    backend.grant("juliet", "romeo")  # again: nothing to do
    backend.revoke("juliet", "romeo")
    assert romeo.heard[-1] == events.PresenceShown("juliet", OFFLINE)
    with refused(Reason.REFUSED):
        backend.grant("juliet", "romeo")


def test_denying_leaves_the_contact_listed(backend: Backend) -> None:
    backend.add_contact("romeo", "juliet")
    backend.deny("juliet", "romeo", "never")
    [contact] = backend.contacts("romeo")
    assert (contact.sees, contact.asked) == (False, False)
    with refused(Reason.REFUSED):
        backend.deny("juliet", "romeo")


@pytest.mark.parametrize("own", [None, True, False])
def test_consent_is_the_services_or_the_accounts_own(backend: Backend, own: bool | None) -> None:
    backend.policy = Policy(consent=False)
    backend.person("juliet").consent = own
    assert backend.add_contact("romeo", "juliet") is (own is not True)


@pytest.mark.parametrize("mutual", [True, False])
def test_removal_ends_seeing_on_both_sides(backend: Backend, mutual: bool) -> None:
    backend.policy = Policy(mutual_removal=mutual)
    backend.befriend("romeo", "juliet")
    backend.befriend("juliet", "romeo")
    romeo, _ = on(backend, "romeo")
    juliet, _ = on(backend, "juliet")
    backend.remove_contact("romeo", "juliet")
    assert romeo.of(events.ContactRemoved) == [events.ContactRemoved("juliet")]
    assert backend.contacts("romeo") == ()
    assert len(backend.contacts("juliet")) == (0 if mutual else 1)
    assert romeo.heard[-1] == events.PresenceShown("juliet", OFFLINE)
    assert events.PresenceShown("romeo", OFFLINE) in juliet.heard
    [gone] = juliet.of(events.RemovalArrived)
    assert isinstance(gone, events.RemovalArrived)
    assert gone.mutual is mutual
    with refused(Reason.UNKNOWN_ADDRESS):
        backend.remove_contact("romeo", "juliet")


def test_a_full_list_takes_no_more(backend: Backend) -> None:
    backend.policy = Policy(max_contacts=1)
    backend.add_contact("romeo", "juliet")
    with refused(Reason.LIST_FULL):
        backend.add_contact("romeo", "tybalt")
    backend.add_contact("romeo", "juliet", "a new name")


def test_a_full_box_takes_no_more(backend: Backend) -> None:
    backend.policy = Policy(max_kept=1)
    backend.send_message("romeo", "juliet", "one")
    with refused(Reason.REFUSED):
        backend.send_message("romeo", "juliet", "two")


def test_a_deleted_account_is_gone_from_every_list(backend: Backend) -> None:
    backend.befriend("romeo", "juliet")
    romeo, _ = on(backend, "romeo")
    juliet, _ = on(backend, "juliet")
    backend.delete_account("juliet")
    assert juliet.of(events.SessionEnded)
    assert romeo.heard[-1] == events.ContactRemoved("juliet")
    assert backend.contacts("romeo") == ()
    with refused(Reason.UNKNOWN_ADDRESS):
        backend.person("juliet")


def test_the_record_has_everything_in_order(backend: Backend) -> None:
    _, session = on(backend, "romeo")
    backend.send_message("romeo", "juliet", "Hello")
    with refused(Reason.UNKNOWN_ADDRESS):
        backend.send_message("romeo", "rosaline", "Hello?")
    backend.sign_off(session, orderly=True)
    entries = list(backend.record.entries())
    assert [entry.number for entry in entries] == [1, 2, 3, 4]
    assert [entry.kind for entry in entries] == ["sign_on", "message", "message", "sign_off"]
    assert entries[1].fields["refused"] is None
    assert entries[2].fields["refused"] == "unknown_address"
    assert entries[3].fields["orderly"] is True
    assert [entry.number for entry in backend.record.entries(2, "romeo", "message")] == [3]
