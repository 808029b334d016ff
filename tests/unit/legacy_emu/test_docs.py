"""`docs/emulator.md` has every frame with every field, every action, every fault, every setting."""

import re
from inspect import signature
from pathlib import Path

import attrs
import pytest

from gateway.networks.emu import wire
from legacy_emu.config import AccountConfig, BotConfig, Config, WebConfig
from legacy_emu.control import ACTIONS, Control
from legacy_emu.events import Reason, Refusal
from legacy_emu.faults import Fault, Kind
from legacy_emu.fronts import FRONTS
from legacy_emu.policy import Policy

TEXT = (Path(__file__).parents[3] / "docs" / "emulator.md").read_text("utf-8")


def row(section: str, key: str) -> str:
    """Return the row of the table in `section` that begins with `key`."""
    body = re.split(r"^#+ ", TEXT.partition(f"# {section}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line for line in body.splitlines() if line.startswith(f"| `{key}` |")]
    assert len(rows) == 1, f"{section} has {len(rows)} rows for {key}"
    return rows[0]


@pytest.mark.parametrize(
    ("section", "frames"),
    [("From the client", wire.CLIENT_FRAMES), ("From the service", wire.SERVER_FRAMES)],
)
def test_every_frame_and_field_is_in_its_table(
    section: str, frames: dict[str, type[attrs.AttrsInstance]]
) -> None:
    for type_, cls in frames.items():
        found = row(section, type_)
        for field in attrs.fields(cls):
            assert f"`{field.name}`" in found, f"{type_} lacks {field.name}"
            if section == "From the client":
                optional = field.default is not attrs.NOTHING
                assert (f"`{field.name}`?" in found) is optional, f"{type_}.{field.name}"


def test_every_action_and_argument_is_in_the_table() -> None:
    for action in ACTIONS:
        found = row("The control channel", action)
        if action in ("set_fault", "set_policy", "wait_arrived"):
            continue  # their arguments stand in tables of their own
        for name, parameter in signature(getattr(Control, action)).parameters.items():
            if name != "self":
                optional = parameter.default is not parameter.empty
                assert f"`{name}`{'?' * optional}" in found, f"{action} lacks {name}"


def test_every_fault_is_in_the_table() -> None:
    found = "".join(row("Faults", kind.value) for kind in Kind)
    common = {"kind", "account", "connection", "times"}
    for field in attrs.fields(Fault):
        assert field.name in common or f"`{field.name}`" in found, field.name


def test_every_setting_is_in_the_table() -> None:
    for field in attrs.fields(Policy):
        row("Configuration", f"policy.{field.name}")
    for field in attrs.fields(BotConfig):
        row("Configuration", f"bot[].{field.name}")
    for field in attrs.fields(AccountConfig):
        row("Configuration", f"account[].{field.name}" + "[]" * (field.name == "contacts"))
    for field in attrs.fields(WebConfig):
        row("Configuration", f"web.{field.name}")
    for field in attrs.fields(Config):
        if field.name not in ("policy", "account", "bot", "web"):
            row("Configuration", "fronts.NAME" if field.name == "fronts" else field.name)


def test_every_front_and_its_port_is_named() -> None:
    found = row("Configuration", "listen")
    for name, (_, _, port) in FRONTS.items():
        assert f"`{name}` at {port}" in found


@pytest.mark.parametrize("reason", [*Reason, *Refusal])
def test_every_reason_is_named(reason: Reason | Refusal) -> None:
    assert f"`{reason.value}`" in TEXT


def test_every_kind_of_arrival_is_named() -> None:
    backend = (Path(__file__).parents[3] / "legacy_emu" / "backend.py").read_text("utf-8")
    kinds = set(re.findall(r'_note\(\s*(?:\w|\.)+(?:\([^()]*\))?,\s*"(\w+)"', backend))
    assert len(kinds) > 10
    listed = TEXT.partition("The kinds of what arrives:")[2].partition(".\n")[0]
    for kind in kinds:
        assert f"`{kind}`" in listed, kind
