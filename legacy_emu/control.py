"""The control channel: act as legacy users, set faults, read what arrived.

`Control` has the actions as plain methods, for tests and simulations in the same process. `serve`
offers the same over WebSocket: a request `{"id", "action", "arguments"}` is answered by `{"id",
"result"}` or `{"id", "error"}`. It is meant for a loopback port; whoever reaches it rules the
service. `docs/emulator.md` has the table of actions.
"""

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from enum import Enum
from typing import Any, NoReturn

import attrs
import trio

from legacy_emu import events
from legacy_emu.events import (
    Look,
    Reason,
    Refusal,
    RequestRefused,
    Show,
    SignOnRefused,
    TypingState,
)
from legacy_emu.faults import Connection, Fault, Kind, Moment
from legacy_emu.names import NameRefused, canonical
from legacy_emu.people import Avatar, Person, Session
from legacy_emu.policy import Likeness, Policy
from legacy_emu.recent import Recent
from legacy_emu.record import Entry
from legacy_emu.service import Service
from legacy_emu.strict import Malformed, arguments
from legacy_emu.websockets import WebSocket, serve_websocket

MAX_HEARD = 10_000
MAX_HEARD_LENGTH = 16 * 1024 * 1024  # characters that one scripted user remembers
MAX_REQUEST_BYTES = 1024 * 1024
MAX_WAIT_SECONDS = 30  # then the answer is an empty list; ask again
MAX_LISTED = 1_000  # entries in one answer; ask again from the last number

Json = dict[str, Any]


@attrs.frozen
class Heard:
    """Something a scripted user was told. `number` counts from 1 for each account."""

    number: int
    kind: str
    event: events.Event


class ScriptedUser:
    """A legacy user who signs on here: hears everything, acknowledges everything."""

    def __init__(self, service: Service, address: str) -> None:
        self._service = service
        self._address = address
        self.session: Session | None = None
        self.heard: Recent[Heard] = Recent(MAX_HEARD, MAX_HEARD_LENGTH)
        self.last = 0

    def put(self, event: events.Event) -> None:
        self.last += 1
        self.heard.add(Heard(self.last, type(event).__name__, event))
        if isinstance(event, events.SessionEnded):
            self.session = None
        elif isinstance(event, events.Value):
            self._service.backend.acknowledge(self._address, (event.id,))


class Control:
    """Everything that can be done to a service from outside of its fronts.

    Raises `RequestRefused`, `NameRefused`, `SignOnRefused`.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._backend = service.backend
        self._users: dict[str, ScriptedUser] = {}
        self._arrived = trio.Event()
        self._backend.record.watch(self)

    # --- accounts -----------------------------------------------------------------------------

    def create_account(
        self,
        address: str,
        password: str,
        name: str = "",
        profile: Mapping[str, str] | None = None,
        consent: bool | None = None,
    ) -> str:
        """Make an account; returns its canonical address."""
        person = self._backend.create_account(address, password, name, profile, consent=consent)
        return person.address

    def delete_account(self, address: str) -> None:
        self._backend.delete_account(address)
        self._users.pop(canonical(address), None)

    def set_password(self, address: str, password: str) -> None:
        self._backend.person(address).password = password

    def accounts(self) -> list[Json]:
        return [
            {"address": each.address, "name": each.name, "sessions": len(each.sessions)}
            for each in self._backend.people()
        ]

    def befriend(
        self,
        first: str,
        second: str,
        groups: tuple[str, ...] = (),
        mutual: bool = True,
        name: str = "",
    ) -> None:
        """Put `second` on the list of `first`, and the other way round, without asking.

        `name` is what the first calls the second.
        """
        self._backend.befriend(first, second, groups, name)
        if mutual:
            self._backend.befriend(second, first, groups)

    def set_policy(
        self,
        offline_messages: bool | None = None,
        consent: bool | None = None,
        mutual_removal: bool | None = None,
        several_sign_ons: bool | None = None,
        max_text_bytes: int | None = None,
        max_contacts: int | None = None,
        max_kept: int | None = None,
        capabilities: tuple[str, ...] | None = None,
        oscar: Likeness | None = None,
    ) -> None:
        """Change how the service behaves; what is None stays."""
        old = self._backend.policy
        self._backend.policy = Policy(
            offline_messages=_or(offline_messages, old.offline_messages),
            consent=_or(consent, old.consent),
            mutual_removal=_or(mutual_removal, old.mutual_removal),
            several_sign_ons=_or(several_sign_ons, old.several_sign_ons),
            max_text_bytes=_or(max_text_bytes, old.max_text_bytes),
            max_contacts=_or(max_contacts, old.max_contacts),
            max_kept=_or(max_kept, old.max_kept),
            capabilities=_or(capabilities, old.capabilities),
            oscar=_or(oscar, old.oscar),
        )

    # --- to be a legacy user ------------------------------------------------------------------

    def sign_on(self, address: str) -> None:
        """Sign a scripted user on, who stays until `sign_off`. Twice is harmless."""
        person = self._backend.person(address)
        user = self._user(person)
        if user.session is None:
            user.session = self._backend.sign_on(person.address, person.password, user, "control")

    def sign_off(self, address: str) -> None:
        user = self._user(self._backend.person(address))
        if user.session is not None:
            self._backend.sign_off(user.session, orderly=True)
            user.session = None

    def heard(self, address: str, since: int = 0) -> list[Heard]:
        """Return what a scripted user was told after number `since`, oldest first."""
        user = self._user(self._backend.person(address))
        return [each for each in user.heard if each.number > since]

    def set_presence(
        self,
        address: str,
        show: Show,
        text: str = "",
        idle_since: datetime | None = None,
        only_for: tuple[str, ...] = (),
    ) -> None:
        """Show an account so: where it is signed on, else as a scripted user, who signs on."""
        person, look = self._backend.person(address), Look(show, text, idle_since)
        user = self._user(person)
        if user.session is None and person.sessions:
            self._backend.show_as(person.sessions[-1], look, only_for)
            return
        self.sign_on(address)
        assert user.session is not None
        self._backend.set_presence(user.session, look, only_for)

    def send_message(self, sender: str, to: str, text: str, replaces: str | None = None) -> str:
        """Send a message as a legacy user, signed on or not; returns its id.

        A scripted user who is signed on hears how far it comes.
        """
        session = self._user(self._backend.person(sender)).session
        return self._backend.send_message(
            sender, to, text, replaces=replaces, session=session, ref="control"
        )

    def typing(self, sender: str, to: str, state: TypingState) -> None:
        self._backend.typing(sender, to, state)

    def nudge(self, sender: str, to: str) -> None:
        self._backend.nudge(sender, to)

    def mark_read(self, reader: str, to: str, upto: str) -> None:
        self._backend.mark_read(reader, to, upto)

    def add_contact(
        self,
        address: str,
        contact: str,
        name: str = "",
        groups: tuple[str, ...] = (),
        reason: str = "",
    ) -> bool:
        """Add a contact; returns whether he is seen at once, else he has been asked."""
        return self._backend.add_contact(address, contact, name, groups, reason)

    def change_contact(
        self, address: str, contact: str, name: str, groups: tuple[str, ...] = ()
    ) -> None:
        self._backend.change_contact(address, contact, name, groups)

    def remove_contact(self, address: str, contact: str) -> None:
        self._backend.remove_contact(address, contact)

    def grant(self, address: str, contact: str) -> None:
        self._backend.grant(address, contact)

    def deny(self, address: str, contact: str, reason: str = "") -> None:
        self._backend.deny(address, contact, reason)

    def revoke(self, address: str, contact: str) -> None:
        self._backend.revoke(address, contact)

    def block(self, address: str, contact: str) -> None:
        self._backend.set_blocked(address, contact, blocked=True)

    def unblock(self, address: str, contact: str) -> None:
        self._backend.set_blocked(address, contact, blocked=False)

    # --- to look ------------------------------------------------------------------------------

    def contacts(self, address: str) -> tuple[events.Contact, ...]:
        return self._backend.contacts(address)

    def look(self, address: str, seen_by: str) -> Look:
        """Return how `seen_by` sees `address`."""
        return self._backend.look_of(address, seen_by)

    def kept(self, address: str) -> tuple[str, ...]:
        """Return the ids of what this account has not acknowledged, oldest first."""
        return self._backend.kept_ids(address)

    def arrived(self, since: int = 0, account: str = "", kind: str = "") -> list[Entry]:
        """Return what arrived after number `since`: of all, or one account, or one kind."""
        account = canonical(account) if account else ""
        return list(self._backend.record.entries(since, account, kind))

    async def wait_arrived(self, since: int = 0, account: str = "", kind: str = "") -> list[Entry]:
        """Wait until something of the kind has arrived after `since`, and return it."""
        while not (found := self.arrived(since, account, kind)):
            await self._arrived.wait()
        return found

    def last_arrived(self) -> int:
        """Return the number of the newest entry: the `since` for what comes from now on."""
        return self._backend.record.last

    def recorded(self) -> None:
        self._arrived.set()
        self._arrived = trio.Event()

    # --- to misbehave -------------------------------------------------------------------------

    def set_fault(
        self,
        kind: Kind,
        account: str = "",
        connection: str = "",
        times: int | None = None,
        reason: Refusal = Refusal.BUSY,
        text: str = "",
        retry_after: float | None = None,
        moment: Moment = Moment.FRAMES,
        after_frames: int = 0,
        seconds: float = 1.0,
        per_second: float = 1.0,
        burst: int = 1,
    ) -> str:
        """Set a fault; returns the name to clear it by. Connections there are suffer, too."""
        if seconds < 0 or per_second < 0:
            raise RequestRefused(Reason.REFUSED, "seconds and per_second are not negative")
        fault = Fault(
            kind=kind,
            account=canonical(account) if account else "",
            connection=connection,
            times=times,
            reason=reason,
            text=text,
            retry_after=retry_after,
            moment=moment,
            after_frames=after_frames,
            seconds=seconds,
            per_second=per_second,
            burst=burst,
        )
        return self._service.faults.set(fault)

    def clear_faults(self, name: str = "") -> int:
        """Heal one fault, or all; returns how many."""
        return self._service.faults.clear(name)

    def faults(self) -> dict[str, Fault]:
        return self._service.faults.all()

    def kick(
        self,
        address: str,
        reason: Refusal | None = None,
        text: str = "",
        retry_after: float | None = None,
    ) -> int:
        """End all sessions of an account, in order; returns how many there were."""
        return self._backend.kick(address, reason, text, retry_after)

    def cut(self, address: str = "", connection: str = "") -> int:
        """Close connections without a word: of an account, one, or all; returns how many."""
        struck = self._connections(address, connection)
        for each in struck:
            each.cut()
        return len(struck)

    def say_raw(self, text: str, address: str = "", connection: str = "") -> int:
        """Send `text` as it is, a frame or not, to the connections `cut` would close."""
        struck = self._connections(address, connection)
        for each in struck:
            if each.speaker is not None:
                each.speaker.say_raw(text)
        return len(struck)

    def replay(self, address: str) -> int:
        """Send an account its last values again, acknowledged or not; returns how many."""
        return self._backend.replay(address)

    def set_avatar(self, address: str, data: str, media_type: str = "image/png") -> None:
        """Give an account a picture, in base64; empty: none."""
        try:
            picture = base64.b64decode(data, validate=True)
        except ValueError as exc:
            raise RequestRefused(Reason.REFUSED, f"data is not base64: {exc}") from exc
        self._backend.set_avatar(address, Avatar(picture, media_type) if picture else None)

    def notice(self, address: str, text: str) -> None:
        """Let the service itself say something to an account."""
        self._backend.notice(address, text)

    def connections(self) -> list[Json]:
        return [
            {"id": each.id, "front": each.front, "account": each.account, "frames": each.frames}
            for each in self._service.connections.values()
        ]

    def _connections(self, address: str, connection: str) -> list[Connection]:
        account = canonical(address) if address else ""
        return [
            each
            for each in self._service.connections.values()
            if account in ("", each.account) and connection in ("", each.id)
        ]

    def _user(self, person: Person) -> ScriptedUser:
        if person.address not in self._users:
            self._users[person.address] = ScriptedUser(self._service, person.address)
        return self._users[person.address]


def _or(new: Any, old: Any) -> Any:
    return old if new is None else new


ACTIONS = tuple(
    name
    for name, found in vars(Control).items()
    if callable(found) and not name.startswith("_") and name != "recorded"
)


async def serve(stream: trio.abc.Stream, control: Control, origins: tuple[str, ...] = ()) -> None:
    """Serve one client of the control channel on `stream`, which is closed in the end."""

    async def talk(socket: WebSocket) -> None:
        while True:
            await socket.send_message(await answer(control, await socket.get_message()))

    await serve_websocket(stream, talk, max_bytes=MAX_REQUEST_BYTES, origins=origins)


async def answer(control: Control, data: str | bytes) -> str:
    """Carry out one request and return what answers it."""
    number: object = None
    try:
        request = json.loads(data, parse_constant=_no_constant)
        if not isinstance(request, dict):
            raise Malformed("a request is an object")
        if isinstance(request.get("id"), dict | list):  # it may be nested too deep to be said again
            raise Malformed("id: a string or a number is expected")
        number = request.get("id")
        result = await _act(control, request)
    except (Malformed, NameRefused, RequestRefused, SignOnRefused) as exc:
        return json.dumps({"id": number, "error": str(exc)})
    except (ValueError, RecursionError) as exc:
        return json.dumps({"id": number, "error": f"not JSON: {exc}"})
    return json.dumps({"id": number, "result": _plain(result)})


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


async def _act(control: Control, request: Json) -> object:
    name, given = request.get("action"), request.get("arguments", {})
    if name not in ACTIONS:
        raise Malformed(f"action: {name!r} found, expected one of {', '.join(ACTIONS)}")
    if not isinstance(given, dict):
        raise Malformed("arguments: an object is expected")
    method: Callable[..., Any] = getattr(control, name)
    result = method(**arguments(method, given))
    if isinstance(result, Awaitable):
        waiting, result = result, []
        with trio.move_on_after(MAX_WAIT_SECONDS):
            result = await waiting
    return result[:MAX_LISTED] if isinstance(result, list) else result


def _plain(value: Any) -> Any:
    """Return `value` as JSON has it."""
    if attrs.has(type(value)):
        return {
            field.name: _plain(getattr(value, field.name)) for field in attrs.fields(type(value))
        }
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
