"""Signing on, step by step, up to the moment the user is shown."""

from collections.abc import Callable, Iterator
from enum import Enum

from gateway.errors import ConnectionLost, RemoteProtocolError
from gateway.networks import base
from gateway.networks.oscar.protocol.login import ONLY_ONE, SEVERAL
from gateway.networks.oscar.protocol.moment import Moment
from gateway.networks.oscar.protocol.requests import Requests, nothing
from gateway.networks.oscar.wire import (
    MORE,
    Body,
    Error,
    SignOn,
    Snac,
    feedbag,
    general,
    messages,
    people,
)

VERSIONS = {
    0x01: 3,
    0x02: 1,
    0x03: 1,
    0x04: 1,
    0x09: 1,
    0x0A: 1,
    0x0B: 1,
    0x10: 1,
    0x13: 4,
    0x15: 1,
    0x18: 1,
}
FEEDBAG = 0x13
ICQ = 0x15
TOOL, TOOL_VERSION, ICQ_TOOL_VERSION = 0x0110, 0x0629, 0x047C
# TAKES_HTML keeps Open OSCAR Server from removing HTML, and more, from what numbers send us.
CAPABILITIES = (
    people.INTEROPERATE,
    people.UTF8,
    people.ICONS,
    people.ICQ_TYPING,
    people.TAKES_HTML,
)


class Step(Enum):
    HELLO = "connecting"
    HOST = "waiting for the service's food groups"
    VERSIONS = "waiting for the service's versions"
    RATES = "waiting for the rate limits"
    LISTS = "waiting for the contact list"
    SHOWN = "waiting to be shown"
    DONE = "signed on"


class Entering:
    """The order of a sign-on. What it learns on its way it gives to `learn`."""

    def __init__(
        self,
        requests: Requests,
        cookie: bytes,
        *,
        several: bool,
        learn: Callable[[Body], None],
    ) -> None:
        self._requests = requests
        self._cookie = cookie
        self._several = SEVERAL if several else ONLY_ONE
        self._learn = learn
        self._needed: set[type[Body]] = set()
        self._says_who_we_are = False  # it has answered the question once
        self.groups: tuple[int, ...] = ()
        self.step = Step.HELLO

    @property
    def has_feedbag(self) -> bool:
        return FEEDBAG in self.groups

    def greeted(self) -> None:
        if self.step is not Step.HELLO:
            raise RemoteProtocolError("a second sign-on frame came")
        self.step = Step.HOST
        self._requests.put(SignOn(cookie=self._cookie, several=self._several))

    def host_online(self, groups: tuple[int, ...]) -> None:
        if self.step is not Step.HOST:
            raise RemoteProtocolError(f"the list of food groups came while {self.step.value}")
        self.step = Step.VERSIONS
        self.groups = tuple(one for one in VERSIONS if one in set(groups))
        versions = [general.Version(one, VERSIONS[one]) for one in self.groups]
        self._requests.say(general.ClientVersions(tuple(versions)))

    def host_versions(self) -> None:
        if self.step is Step.VERSIONS:
            self.step = Step.RATES
            self._requests.ask(general.RateQuery(), self._rates, nothing)

    def _rates(self, snac: Snac, at: Moment) -> Iterator[base.LegacyEvent]:
        if self.step is not Step.RATES:
            return iter(())
        if isinstance(snac.body, general.RateParameters):
            limits = self._requests.outbox.limits
            limits.learn(snac.body, at.seconds)
            self._requests.say(general.RateSubscribe(limits.ids))
        self.step = Step.LISTS
        queries: list[Body] = [
            general.OwnInfoQuery(),
            people.LocateRightsQuery(),
            people.BuddyRightsQuery(),
            messages.ParametersQuery(),
            people.PermitRightsQuery(),
        ]
        if self.has_feedbag:
            queries += [feedbag.FeedbagRightsQuery(), feedbag.FeedbagQuery()]
        self._needed = {type(query) for query in queries}
        for query in queries:
            self._need(query)
        return iter(())

    def _need(self, query: Body) -> None:
        """Ask for what the sign-on waits for. But for the list, a refusal or silence will do."""

        def answer(snac: Snac, at: Moment) -> Iterator[base.LegacyEvent]:
            if not isinstance(snac.body, Error):
                self._says_who_we_are |= isinstance(snac.body, general.OwnInfo)
                self._learn(snac.body)
            elif isinstance(query, feedbag.FeedbagQuery):  # as empty it would be believed
                raise ConnectionLost(f"the service refuses the contact list ({snac.body.code})")
            if not snac.flags & MORE:
                self._have(query)
            return iter(())

        def expire() -> Iterator[base.LegacyEvent]:
            if isinstance(query, feedbag.FeedbagQuery):
                raise ConnectionLost("the service did not send the contact list")
            self._have(query)
            return iter(())

        self._requests.ask(query, answer, expire)

    def _have(self, query: Body) -> None:
        self._needed.discard(type(query))
        if not self._needed and self.step is Step.LISTS:
            self._enter()

    def _enter(self) -> None:
        """Show the user: all is known that has to be. He is, once the service answers again."""
        self.step = Step.SHOWN
        say = self._requests.say
        say(messages.SetParameters())
        say(people.SetInfo(away=b"", capabilities=CAPABILITIES))
        if self.has_feedbag:
            say(feedbag.FeedbagUse())
        say(general.SetStatus(0))
        say(general.SetIdle(0))
        tools = [
            general.Tool(one, VERSIONS[one], TOOL, ICQ_TOOL_VERSION if one == ICQ else TOOL_VERSION)
            for one in self.groups
        ]
        say(general.ClientOnline(tuple(tools)))

        def answer(snac: Snac, at: Moment) -> Iterator[base.LegacyEvent]:
            self.step = Step.DONE
            return iter(())

        def expire() -> Iterator[base.LegacyEvent]:
            if self._says_who_we_are:
                raise ConnectionLost("the service stopped answering at the end of the sign-on")
            self.step = Step.DONE
            return iter(())

        self._requests.ask(general.OwnInfoQuery(), answer, expire)
