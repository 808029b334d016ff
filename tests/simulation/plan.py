"""The fault plan: data drawn from a seed, shrunk when it fails, printed so that it replays."""

import ast
from collections.abc import Callable
from enum import StrEnum
from random import Random
from typing import TypeVar

import attrs


class Kind(StrEnum):
    """What goes wrong. `pick`, from 0 to 1, says to whom and how badly."""

    XMPP_CUT = "xmpp-cut"
    XMPP_STALL = "xmpp-stall"
    XMPP_HALF_OPEN = "xmpp-half-open"
    XMPP_SPLIT = "xmpp-split"
    XMPP_DELAY = "xmpp-delay"
    XMPP_RESTART = "xmpp-restart"
    LEGACY_CUT = "legacy-cut"
    LEGACY_STALL = "legacy-stall"
    LEGACY_HALF_OPEN = "legacy-half-open"
    LEGACY_SPLIT = "legacy-split"
    LEGACY_DELAY = "legacy-delay"
    LEGACY_DOWN = "legacy-down"
    KICK = "kick"
    REFUSE = "refuse"
    BUSY = "busy"
    CRASH = "crash"
    CRASH_BEFORE = "crash-before"
    CRASH_BETWEEN = "crash-between"
    CRASH_AFTER = "crash-after"
    STORE_FAILS = "store-fails"
    STORE_FAILS_ONCE = "store-fails-once"
    STORE_SLOW = "store-slow"
    STORE_LOCKED = "store-locked"


@attrs.frozen
class Fault:
    at: float  # seconds after the traffic began
    kind: Kind
    pick: float


T = TypeVar("T")
Plan = tuple[Fault, ...]


def make_plan(seed: int, *, seconds: float, count: int) -> Plan:
    """Draw `count` faults over `seconds`, each kind as likely as the next."""
    random = Random(f"{seed}/plan")
    kinds = list(Kind)
    faults = [
        Fault(round(random.random() * seconds, 3), random.choice(kinds), round(random.random(), 4))
        for _ in range(count)
    ]
    return tuple(sorted(faults, key=lambda fault: fault.at))


def chosen(pick: float, among: list[T]) -> T | None:
    """Return the one `pick` points at; None if there is none."""
    return among[min(int(pick * len(among)), len(among) - 1)] if among else None


def literal(plan: Plan) -> str:
    """Write a plan as `parse` reads it."""
    return repr([(fault.at, str(fault.kind), fault.pick) for fault in plan])


def parse(text: str) -> Plan:
    """Read a plan. Raises `ValueError` for what is none."""
    try:
        rows = ast.literal_eval(text)
        return tuple(Fault(float(at), Kind(kind), float(pick)) for at, kind, pick in rows)
    except (SyntaxError, TypeError, ValueError) as exc:
        raise ValueError(
            f"no plan: {exc}; expected {literal((Fault(1.0, Kind.KICK, 0.5),))}"
        ) from exc


def shrink(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """Return a part of `plan` that still fails and from which no single fault can be dropped.

    `plan` itself must fail. Drops ever smaller runs of faults, as long as the rest fails.
    """
    size = len(plan)
    while size:
        before, start = plan, 0
        while start < len(plan):
            smaller = plan[:start] + plan[start + size :]
            if fails(smaller):
                plan = smaller
            else:
                start += size
        if size > 1 or plan == before:
            size //= 2
    return plan
