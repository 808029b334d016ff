"""AIM, where the script's names are the names, and ICQ, where each of them is a number."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, cast
from xml.etree import ElementTree as ET

import attrs

from gateway.networks.oscar import Aim, Icq
from gateway.networks.oscar.settings import AimSettings, IcqSettings
from legacy_emu.control import Control
from legacy_emu.fronts import oscar
from legacy_emu.names import NameRefused, canonical
from legacy_emu.policy import Likeness, Policy
from tests.fakes.interpreter import Interpreter
from tests.fakes.stage import G
from tests.scenarios.casts import Cast
from tests.scenarios.places import LEGACY_PLACE

DEFAULT_GROUP = "Buddies"
AWAY = ("<show>away</show>", "<show>xa</show>", "<show>dnd</show>")
WORDS = ("name", "text", "reason")  # what is said to people, and no address
FIRST_NUMBER = 100_001
SPACE = "\\20"

_ADDRESS = re.compile(rf"(?<=['\">:])([^\s'\"<>/@:]+)(?=@{re.escape(G)})")
_WHOLE_TEXT = re.compile(r"(?<=>)([^<>]+)(?=<)")
_NUMBER = re.compile(r"\b\d[\d\\]*\d\b")


class OscarInterpreter(Interpreter):
    """Leaves out the group in which contacts are who are in none."""

    def heard(self, stanza: ET.Element) -> ET.Element:
        for parent in list(stanza.iter()):
            for group in [one for one in parent if one.tag.endswith("}group")]:
                if group.text == DEFAULT_GROUP:
                    parent.remove(group)
        return super().heard(stanza)


class Numbers(OscarInterpreter):
    """Gives each name a number, when it first comes up."""

    def __init__(self) -> None:
        self._numbers: dict[str, str] = {}
        self._names: dict[str, str] = {}  # the other way, as they were spelled

    def number(self, name: str) -> str:
        """Return the number of somebody, in the spelling in which he is called."""
        spaced = name.replace(SPACE, " ")
        try:
            person = canonical(spaced)
        except NameRefused:
            return name
        plain = self._numbers.setdefault(person, str(FIRST_NUMBER + len(self._numbers)))
        spelled = f"{plain[:2]}{SPACE}{plain[2:]}" if SPACE in name else plain
        self._names.setdefault(spelled, name if SPACE in name else person)
        return spelled

    def if_known(self, text: str) -> str:
        """Return the number of somebody whose name has come up; anything else stays.

        A blank in the name makes one in the number.
        """
        try:
            found = self._numbers.get(canonical(text))
        except NameRefused:
            return text
        if found is None:
            return text
        return f" {found[:2]} {found[2:]}" if " " in text.strip() else found

    def to_network(self, text: str) -> str:
        text = _ADDRESS.sub(lambda it: self.number(it[1]), text)
        return _WHOLE_TEXT.sub(lambda it: self.if_known(it[1]), text)

    def from_network(self, text: str) -> str:
        return _NUMBER.sub(lambda it: self._names.get(it[0], it[0]), text)


class _Named:
    """`Control`, whose contacts are listed under the names of the script, as a client would."""

    def __init__(self, control: Any) -> None:
        self._control = control
        self._names: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._control, name)

    def create_account(
        self, address: str, password: str, name: str = "", *rest: object, **more: object
    ) -> object:
        self._names[address] = name
        return self._control.create_account(address, password, name, *rest, **more)

    def befriend(
        self, first: str, second: str, groups: tuple[str, ...] = (), mutual: bool = True
    ) -> None:
        name = self._names.get(second, "")
        self._control.befriend(first, second, groups=groups, mutual=mutual, name=name)


class _Consenting:
    """`Control` of a service that goes by the accounts: the policy of a script is that of each."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._consent: bool | None = None
        self._own: set[str] = set()  # who has a word of his own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._control, name)

    def create_account(self, address: str, *rest: Any, **more: Any) -> str:
        if more.get("consent") is None:
            more["consent"] = self._consent
        else:
            self._own.add(canonical(address))
        return self._control.create_account(address, *rest, **more)

    def set_policy(self, **more: Any) -> None:
        self._control.set_policy(**more)
        if more.get("consent") is not None:
            self._consent = more["consent"]
            for person in self._control._backend.people():
                if person.address not in self._own:
                    person.consent = self._consent


class _Interpreted:
    """`Control`, whose people are called by the script's names."""

    def __init__(self, control: Control, numbers: Numbers) -> None:
        self._control = control
        self._numbers = numbers
        self._displays: dict[str, str] = {}

    def create_account(self, address: str, *rest: object, **more: object) -> object:
        self._displays[canonical(address)] = address
        return self._control.create_account(self._numbers.number(address), *rest, **more)  # type: ignore[arg-type]

    def contacts(self, address: str) -> object:
        found = self._control.contacts(self._numbers.if_known(address))
        names = [self._numbers.from_network(one.address) for one in found]
        return tuple(
            attrs.evolve(one, address=self._displays.get(name, name))
            for one, name in zip(found, names, strict=True)
        )

    def __getattr__(self, name: str) -> Callable[..., object]:
        method: Callable[..., object] = getattr(self._control, name)

        def act(*given: object, **more: object) -> object:
            told = {
                key: value if key in WORDS else self._to_network(value)
                for key, value in more.items()
            }
            found = method(*map(self._to_network, given), **told)
            return self._later(found) if inspect.iscoroutine(found) else self._from_network(found)

        return act

    async def _later(self, found: Any) -> object:
        return self._from_network(await found)

    def _to_network(self, value: object) -> object:
        if type(value) is str:
            return self._numbers.if_known(value)
        if isinstance(value, tuple):
            return tuple(map(self._to_network, value))
        return value

    def _from_network(self, value: Any) -> Any:
        if type(value) is str:
            return self._numbers.from_network(value)
        if isinstance(value, list | tuple):
            return type(value)(map(self._from_network, value))
        if isinstance(value, Mapping):
            return {key: self._from_network(each) for key, each in value.items()}
        if attrs.has(type(value)):
            fields = attrs.asdict(value, recurse=False)
            return attrs.evolve(value, **{key: self._from_network(fields[key]) for key in fields})
        return value


@attrs.frozen
class OscarCast(Cast):
    away_text: str = "Away"
    tells_who_sees: bool = False

    def interpreter(self) -> Interpreter:
        return OscarInterpreter()

    def legacy(self, control: Control, interpreter: Interpreter) -> Control:
        return cast(Control, _Named(control))

    def request_nick(self, name: str) -> str:
        return ""  # requests bear the address alone

    def shown(self, inside: str) -> tuple[str, ...]:
        """Away texts are fetched when somebody is away, and follow."""
        show, status, _ = inside.partition("<status>")
        if show in AWAY and status:
            return (show, inside)
        return (inside,)


class IcqCast(OscarCast):
    def shown(self, inside: str) -> tuple[str, ...]:
        return (inside,)  # here the text is part of the status

    def interpreter(self) -> Interpreter:
        return Numbers()

    def stamp(self, text: str) -> str:
        """Messages fetched by ICQ's command have their time in minutes; others in seconds."""
        return f"{text[:17]}00Z" if self.likeness else text

    def legacy(self, control: Control, interpreter: Interpreter) -> Control:
        assert isinstance(interpreter, Numbers)
        if self.likeness:  # it has numbers asked whatever the policy is
            control = cast(Control, _Consenting(control))
        return cast(Control, _Named(_Interpreted(control, interpreter)))


# In half a minute a connection that is half open is noticed, as with the emulated network.
_PLACE: dict[str, Any] = {
    "host": LEGACY_PLACE.host,
    "port": LEGACY_PLACE.port,
    "tls": "off",
    "ping_seconds": 30.0,
    "answer_seconds": 90.0,  # the gateway's own patience with a message comes first
}

_OSCAR_LACKS = {
    "any names": "has screen names of ASCII letters, digits and blanks, or numbers",
    "carriage returns": "makes the same line end of all there are",
    "capabilities": "does not say what it can do",
    "frames": "sends bytes; the tests of its driver have what may be wrong with them",
    "exact refusals": "refuses by codes, without words and times of its own",
    "long texts": "takes messages of some kilobytes; long ones go in pieces",
    "one order": "counts messages and changes of the list apart: each goes as soon as it may",
    "pace": "takes a message in five seconds, after the first few",
    "per-contact presence": "has one presence for all",
    "reasons for an end": "ends a session for good for one reason only, another sign-on",
    "redelivery": "has no acknowledgement of what it delivers",
    "told withdrawals": "shows a consent that was taken back as one not yet given",
    "told blocks": "shows contacts who have blocked the user as offline",
    "told removals": "tells nobody that they were taken off a list",
}

_PLAIN = (
    OscarCast(
        name="aim",
        network=Aim,
        settings=AimSettings(**_PLACE),
        serve=oscar.serve,
        lacks={
            **_OSCAR_LACKS,
            "consent": "asks nobody: who is added is seen at once",
            "details": "has a text of each of its people, and no details",
            "line ends": "sends HTML, in which line ends at the end are nothing",
            "search": "has no directory that could be asked",
            "revocation": "lets everybody see all who have not blocked them",
        },
    ),
    IcqCast(
        name="icq",
        network=Icq,
        settings=IcqSettings(**_PLACE),
        serve=oscar.serve,
        lacks={
            **_OSCAR_LACKS,
            "countries": "has numbers for countries, which nobody has the names of",
            "names": "has numbers for names",
        },
        tells_of_adding=True,
    ),
)


def _like_open_oscar_server(cast: OscarCast) -> OscarCast:
    """Return the cast in front of a service that behaves like Open OSCAR Server."""
    likeness = Likeness.OPEN_OSCAR_SERVER
    lacks = {
        **cast.lacks,
        "many sign-ons": "takes ten logins in a minute",
        "unknown names": "answers for an unknown name as for a contact who is offline",
    }
    return attrs.evolve(
        cast,
        lacks=lacks,
        name=f"{cast.name}-{likeness}",
        likeness=likeness,
        policy=Policy(oscar=likeness),
        settings=attrs.evolve(cast.settings, preset=likeness.value),  # type: ignore[misc]
    )


CASTS = (*_PLAIN, *map(_like_open_oscar_server, _PLAIN))
