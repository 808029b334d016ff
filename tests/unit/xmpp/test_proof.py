import pytest

from gateway.xmpp.proof import (
    ASTRAY_SECONDS,
    MAX_PINGS,
    MAX_UNPROVEN,
    MESSAGES_PER_PING,
    PATIENCE_SECONDS,
    PING_DELAY_SECONDS,
    ROUND_SECONDS,
    ROUNDS,
    Proof,
)


def tracked(proof: Proof, count: int, now: float = 0.0) -> None:
    for _ in range(count):
        assert proof.track(now) is not None


def test_nothing_is_asked_while_nothing_was_said() -> None:
    assert Proof("n").due_at is None


def test_a_ping_is_due_a_moment_after_the_first_unproven_message() -> None:
    proof = Proof("n")
    tracked(proof, 1, now=10.0)
    tracked(proof, 5, now=10.04)
    assert proof.due_at == 10.0 + PING_DELAY_SECONDS
    proof.ping(10.05)
    assert proof.due_at == 10.05 + PATIENCE_SECONDS
    tracked(proof, 1, now=11.0)
    assert proof.due_at == 11.0 + PING_DELAY_SECONDS


def test_a_ping_is_due_at_once_after_so_many_messages() -> None:
    proof = Proof("n")
    tracked(proof, MESSAGES_PER_PING - 1, now=10.0)
    assert proof.due_at == 10.0 + PING_DELAY_SECONDS
    tracked(proof, 1, now=10.01)
    assert proof.due_at == 10.0


def test_an_answer_proves_what_stood_before_its_ping() -> None:
    proof = Proof("n")
    tracked(proof, 3)
    ping = proof.ping(0.1)
    tracked(proof, 2)
    assert proof.answered(ping) == 3
    assert proof.unproven == 2
    assert proof.answered(ping) is None
    assert proof.answered(proof.ping(0.2)) == 5
    assert proof.due_at is None


def test_a_later_answer_settles_the_earlier_pings() -> None:
    proof = Proof("n")
    pings = []
    for _ in range(MAX_PINGS):
        tracked(proof, 1)
        pings.append(proof.ping(0.0))
    tracked(proof, 1, now=1.0)
    assert proof.due_at == PATIENCE_SECONDS  # too many on their way
    assert proof.answered(pings[2]) == 3
    assert proof.due_at == 1.0 + PING_DELAY_SECONDS
    assert proof.answered(pings[0]) is None


def test_so_many_messages_may_be_unproven_and_no_more() -> None:
    proof = Proof("n")
    tracked(proof, MAX_UNPROVEN)
    assert proof.track(0.0) is None
    proof.answered(proof.ping(0.0))
    assert proof.track(0.0) == MAX_UNPROVEN + 1


def test_a_ping_without_an_answer_is_repeated_and_its_late_answer_still_counts() -> None:
    proof = Proof("n")
    tracked(proof, 1)
    ping = proof.ping(0.0)
    assert not proof.is_overdue(PATIENCE_SECONDS - 1)
    assert proof.is_overdue(PATIENCE_SECONDS)
    for number in range(1, 2 * MAX_PINGS):
        proof.ping(number * PATIENCE_SECONDS)
    assert proof.answered(ping) == 1


def test_what_went_astray_proves_nothing_and_is_tried_again_later() -> None:
    proof = Proof("n")
    tracked(proof, 1)
    ping = proof.ping(0.0)
    assert proof.went_astray(ping, 5.0)
    assert proof.unproven == 1
    assert proof.due_at == 5.0 + ASTRAY_SECONDS
    assert not proof.went_astray("proof-other-0-1-1", 5.0)


def test_a_new_link_forgets_what_was_on_its_way_and_counts_on() -> None:
    proof = Proof("n")
    tracked(proof, 2)
    ping = proof.ping(0.0)
    proof.forget()
    assert (proof.unproven, proof.due_at) == (0, None)
    assert proof.track(0.0) == 3
    assert proof.answered(ping) is None
    assert proof.unproven == 1


@pytest.mark.parametrize(
    "id_",
    ["", "proof-", "proof-n-0-", "proof-n-0-1", "proof-n-0-1-x", "proof-n-0-2-1", "proof-n-0-1-2",
     "proof-m-0-1-1", "proof-n-1-1-1", "1-1"],
)  # fmt: skip
@pytest.mark.conformance("CORE-05", "AMB-32")
def test_a_foreign_id_proves_nothing(id_: str) -> None:
    proof = Proof("n")
    tracked(proof, 1)
    assert proof.ping(0.0) == "proof-n-0-1-1"
    assert proof.answered(id_) is None
    assert proof.unproven == 1


def test_proof_is_given_up_after_rounds_without_answer() -> None:
    proof = Proof("n")
    tracked(proof, 2)
    ping = proof.ping(0.0)
    passed = [proof.pass_round(n * ROUND_SECONDS) for n in range(ROUNDS + 1)]
    assert passed == [False] * (ROUNDS - 1) + [True, False]
    assert proof.assume() == 2
    assert (proof.assume(), proof.unproven) == (None, 0)
    assert proof.due_at == PATIENCE_SECONDS  # it is asked all the same
    assert proof.answered(ping) is None
    assert not proof.is_given_up
    assert proof.due_at is None


def test_pings_overdue_together_are_one_round() -> None:
    proof = Proof("n")
    for number in range(2 * ROUNDS):
        assert not proof.pass_round(300.0 + number)
    assert not proof.is_given_up


def test_any_answer_ends_the_rounds_before() -> None:
    proof = Proof("n")
    for number in range(2 * ROUNDS):
        assert not proof.pass_round(number * ROUND_SECONDS)
        tracked(proof, 1)
        proof.answered(proof.ping(0.0))
    assert not proof.is_given_up
