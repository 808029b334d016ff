"""What a roster can hold as a name or a group."""

import pytest

from gateway.bridge.features.cards import MAX_GROUPS, MAX_NAME, card, label
from gateway.bridge.user import Card


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Juliet Capulet", "Juliet Capulet"),
        ("  Juliet \t Capulet\r\n", "Juliet Capulet"),
        ("Juliet\nCapulet", "Juliet Capulet"),
        ("Juliet\u2028Capulet\u2029", "Juliet Capulet"),
        ("Juliet\x00\x1b\x7f\x85Capulet", "Juliet Capulet"),
        ("Juliet\u00a0\u3000Capulet", "Juliet Capulet"),
        ("\u202eteiluJ\u2069", "teiluJ"),
        ("\ud83d\ufffeJuliet\uffff", "\ufffd\ufffdJuliet\ufffd"),
        ("\U0001f469\u200d\U0001f52c", "\U0001f469\u200d\U0001f52c"),  # a joiner inside an emoji
        ("\u05d9\u05d5\u05dc\u05d9\u05d4", "\u05d9\u05d5\u05dc\u05d9\u05d4"),
        ("e\u0301", "e\u0301"),
        ("<>&\"'", "<>&\"'"),
        ("", ""),
        ("\r\n\t ", ""),
        ("\u200b\u200d\ufeff", ""),
        ("\u0301", ""),
        ("\u115f\u1160\u2800\u3164\uffa0", ""),
        ("x" * MAX_NAME, "x" * MAX_NAME),
        ("x" * 100_000, "x" * (MAX_NAME - 1) + "\u2026"),
        ("\n" * 100_000 + "x", ""),
    ],
)
def test_label_is_one_line_or_nothing(text: str, shown: str) -> None:
    assert label(text) == shown
    assert label(shown) == shown


def test_groups_that_look_the_same_collapse() -> None:
    assert card("x", ("A", "A\n", "", " ", "\u200b", "B", " A ")) == Card("x", ("A", "B"))
    assert len(card("x", map(str, range(1_000))).groups) == MAX_GROUPS
