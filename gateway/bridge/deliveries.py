"""Messages to the users of one component: in order, until the server has proven to hold them.

The link numbers what is delivered and proves it in batches; what it lost before proof is sent again
in order on the next link, under the same id and with a delay stamp. Beside each message runs its
journal entry, so that one that is late survives a restart.
"""

import logging
from collections import Counter, deque
from datetime import datetime

import trio

from gateway.bridge.journal import TO_USER, Entry, Journal
from gateway.bridge.translate import delayed
from gateway.host import Host
from gateway.networks.base import LegacyClient
from gateway.xmpp.component import Link, StanzaRefused
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import Message, MessageType

log = logging.getLogger(__name__)

# Messages kept for one account, in memory and in the journal: as many as services keep for who was
# away for long. Some have forgotten them once they are sent.
MAX_WAITING = 10_000
MAX_WAITING_NOTICES = 1_000


class Deliveries:
    """What is on its way to the users of one component. Nothing here waits."""

    def __init__(self, host: Host, gateway: Jid, link: Link, journal: Journal) -> None:
        self._host = host
        self._gateway = gateway
        self._link = link
        self._journal = journal
        self._waiting: deque[Entry] = deque()
        self._in_flight: deque[tuple[int, Entry]] = deque()
        self._held: Counter[int] = Counter()
        self._repeatable: dict[tuple[int, str], Entry] = {}

    def room_for(self, account_id: int) -> bool:
        """Say whether another message may be taken for this account."""
        return self._held[account_id] < MAX_WAITING

    def room_for_notice(self, account_id: int) -> bool:
        """Say whether what the service itself says may be taken, which can be spared."""
        return self._held[account_id] < MAX_WAITING_NOTICES

    def post(
        self,
        account_id: int,
        message: Message,
        *,
        client: LegacyClient | None = None,
        token: object | None = None,
        legacy_id: str | None = None,
        sent_at: datetime | None = None,
    ) -> None:
        """Deliver `message`, which must have an id; `client` is told when it is safe."""
        at = sent_at or self._host.now()
        if sent_at is not None:
            message = delayed(message, self._gateway, sent_at)
        entry = Entry(
            account_id=account_id,
            direction=TO_USER,
            message=message,
            at=at,
            born=trio.current_time(),
            legacy_id=legacy_id,
            client=client,
            token=token,
        )
        if legacy_id is not None:
            self._repeatable[account_id, legacy_id] = entry
        self.keep(entry)

    def repeated(
        self, account_id: int, legacy_id: str, client: LegacyClient, token: object | None
    ) -> None:
        """Take a network's repetition of what was posted already: only its token matters."""
        entry = self._repeatable.get((account_id, legacy_id))
        if entry is None or entry.row is not None:
            if token is not None:
                client.acknowledge(token)
        else:
            entry.client, entry.token = client, token

    def keep(self, entry: Entry) -> None:
        """Deliver an entry that exists already: one the journal held, or an error for it."""
        self._held[entry.account_id] += 1
        self._journal.note(entry)
        self._waiting.append(entry)
        self._pump()

    def forget(self, account_id: int) -> None:
        """Send nothing more, and nothing again, of an account that is removed.

        Errors for its user's own messages still go out, though nobody proves them any more.
        """
        theirs = [one for one in self._waiting if one.account_id == account_id]
        self._waiting = deque(one for one in self._waiting if one.account_id != account_id)
        for entry in theirs + [entry for _, entry in self._in_flight]:
            if entry.account_id == account_id:
                entry.settled = True
        for entry in theirs:
            if entry.message.type is MessageType.ERROR:
                self._link.answer(entry.message)
        self._held.pop(account_id, None)
        for key in [one for one in self._repeatable if one[0] == account_id]:
            del self._repeatable[key]

    def link_down(self) -> None:
        """Take back what was sent and not proven: it goes first on the next link, as delayed."""
        for _, entry in reversed(self._in_flight):
            if not entry.settled:
                self._waiting.appendleft(entry)
        self._in_flight.clear()

    def link_up(self) -> None:
        for entry in self._waiting:
            entry.message = delayed(entry.message, self._gateway, entry.at)
        self._pump()

    def proven(self, upto: int) -> None:
        """Settle what the server has proven to hold, and send what waited for room."""
        while self._in_flight and self._in_flight[0][0] <= upto:
            _, entry = self._in_flight.popleft()
            self._settle(entry)
        self._pump()

    def _pump(self) -> None:
        while self._waiting:
            entry = self._waiting[0]
            try:
                number = self._link.deliver(entry.message)
            except StanzaRefused as exc:  # it will never do, and must not hold up the others
                log.error("%s: a message is dropped: %s", self._gateway, exc)
                self._waiting.popleft()
                self._settle(entry)
                continue
            if number is None:
                return
            self._waiting.popleft()
            self._in_flight.append((number, entry))

    def _settle(self, entry: Entry) -> None:
        if entry.legacy_id is not None:
            self._repeatable.pop((entry.account_id, entry.legacy_id), None)
        if self._held[entry.account_id] > 1:
            self._held[entry.account_id] -= 1
        else:
            self._held.pop(entry.account_id, None)
        self._journal.settle(entry)
