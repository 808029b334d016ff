"""Who lives in a world and what they do: users of the gateway, and people on the legacy service.

Everybody draws from a generator of his own, so that what one does depends on no one else.
"""

from random import Random
from typing import TYPE_CHECKING

import attrs
import trio

from legacy_emu.events import Event, Look, MessageArrived, PresenceShown, Show
from tests.simulation.legacy import LegacyService
from tests.simulation.xml_stream import element
from tests.simulation.xmpp_users import User

if TYPE_CHECKING:
    from legacy_emu.people import Session
    from tests.simulation.world import World

SECONDS_BETWEEN_ACTS = 4.0
SHOWS = ("", "away", "dnd", "xa", "chat")
FINALLY_ONLINE = 0.7
AWAY_SECONDS = 2.0


@attrs.define(eq=False)
class UserOfGateway:
    """A user of the XMPP server who is registered with the gateway."""

    xmpp: User
    legacy_name: str
    gateway: str

    def jid_of(self, name: str) -> str:
        return f"{name}@{self.gateway}"

    @property
    def online(self) -> bool:
        return bool(self.xmpp.resources)


class Contact:
    """Somebody with a client of the legacy service."""

    def __init__(self, legacy: LegacyService, name: str) -> None:
        self.name = name
        self.sees: dict[str, Look] = {}
        self._legacy = legacy
        self._session: Session | None = None
        self._unacknowledged: list[str] = []

    @property
    def online(self) -> bool:
        return self._session is not None

    def put(self, event: Event) -> None:
        """Take what the service tells; it must not be called back from here."""
        match event:
            case PresenceShown(address, look):
                self.sees[address] = look
            case MessageArrived(id=id_):
                self._unacknowledged.append(id_)

    def sign_on(self) -> None:
        self.sees.clear()
        if self._session is None:
            self._session = self._legacy.sign_on(self.name, self)

    def sign_off(self) -> None:
        if self._session is not None:
            self._legacy.backend.sign_off(self._session)
            self._session = None

    def show(self, show: Show, text: str) -> None:
        if self._session is not None:
            self._legacy.backend.set_presence(self._session, Look(show, text))

    def acknowledge(self) -> None:
        ids, self._unacknowledged = tuple(self._unacknowledged), []
        if ids:
            self._legacy.backend.acknowledge(self.name, ids)


class Traffic:
    """Everybody's doings while there is trouble."""

    def __init__(self, world: "World") -> None:
        self.messages = 0
        self._world = world

    async def run(self) -> None:
        """Let everybody act for as long as the trouble lasts."""
        with trio.move_on_after(self._world.scale.trouble_seconds):
            async with trio.open_nursery() as nursery:
                for user in self._world.users:
                    nursery.start_soon(self._user, user, name=f"traffic/{user.xmpp.jid}")
                for contact in self._world.contacts:
                    nursery.start_soon(self._contact, contact, name=f"traffic/{contact.name}")

    def _generator(self, who: str) -> Random:
        return Random(f"{self._world.seed}/traffic/{who}")

    async def come_to_rest(self) -> None:
        """Bring everybody to where he is to be at the end: most are online, some are not.

        Who was refused comes back anew: nothing else makes the gateway try again.
        """
        random = self._generator("rest")
        returning = []
        for user in self._world.users:
            online, anew = random.random() < FINALLY_ONLINE, random.random() < 0.5
            show = random.choice(SHOWS)
            if not online or anew or user.legacy_name in self._world.legacy.refused:
                for resource in list(user.xmpp.resources):
                    user.xmpp.logout(resource)
            if online and not user.online:
                returning.append((user, show))
        for contact in self._world.contacts:
            if random.random() < FINALLY_ONLINE:
                contact.sign_on()
            else:
                contact.sign_off()
        await trio.sleep(AWAY_SECONDS)
        for user, show in returning:
            user.xmpp.login("r", show)

    async def _user(self, user: UserOfGateway) -> None:
        random, number = self._generator(user.xmpp.jid), 0
        names = [one.name for one in self._world.contacts]
        names += [one.legacy_name for one in self._world.users if one is not user]
        while True:
            await trio.sleep(random.expovariate(1 / SECONDS_BETWEEN_ACTS))
            act, name, show = random.random(), random.choice(names), random.choice(SHOWS)
            resource = random.choice(["r", "r", "s"])
            if resource not in user.xmpp.resources:
                user.xmpp.login(resource, show)
            elif act < 0.65:
                number += 1
                self.messages += 1
                user.xmpp.send_message(user.jid_of(name), f"{user.legacy_name}>{number}", resource)
            elif act < 0.8:
                user.xmpp.set_presence(resource, show, f"status {number}" if act < 0.7 else "")
            elif act < 0.92:
                query = element("query", "jabber:iq:register")
                user.xmpp.send_iq(user.gateway, "get", query, resource)
            else:
                user.xmpp.logout(resource)

    async def _contact(self, contact: Contact) -> None:
        random, number = self._generator(contact.name), 0
        names = [one.legacy_name for one in self._world.users]
        shows = [Show.ONLINE, Show.AWAY, Show.DND, Show.XA, Show.CHAT]
        while True:
            await trio.sleep(random.expovariate(1 / SECONDS_BETWEEN_ACTS))
            contact.acknowledge()
            act, name, show = random.random(), random.choice(names), random.choice(shows)
            if not contact.online:
                contact.sign_on()
            elif act < 0.7:
                number += 1
                self.messages += 1
                self._world.legacy.send(contact.name, name, f"{contact.name}>{number}")
            elif act < 0.9:
                contact.show(show, f"status {number}")
            else:
                contact.sign_off()
