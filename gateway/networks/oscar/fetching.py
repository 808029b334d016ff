"""How each ICQ number asks for what was kept, remembered while the daemon runs.

Open OSCAR Server closes the connection when it cannot read a message that it kept, at each 003C. By
04/10 it hands over the same messages as they are, and deletes them.
"""

from collections import OrderedDict

import attrs

from gateway.networks.oscar.protocol.stored import Stored, Way

MAX_ACCOUNTS = 10_000
MAX_ENDS = 2  # in a row, after which the account asks in another way
MANY = 500  # by 04/10 so many might not all arrive, and are deleted all the same
DAY = 86_400.0

OTHER_WAY = (
    "The service failed to hand over stored messages. They come in another way; some may be"
    " unreadable."
)
NO_WAY = (
    "The service fails to hand over stored messages. They stay there: tell its operator. Next try"
    " in a day."
)


@attrs.define
class _Trouble:
    """The ends of one account's sessions, each right after the question."""

    ends: int = 0
    until: float = 0.0  # then it is forgotten
    is_many: bool = False
    no_way: bool = False
    told: bool = False


class Fetching:
    """What is known of the accounts of one service."""

    def __init__(self) -> None:
        self._troubles: OrderedDict[str, _Trouble] = OrderedDict()

    def way(self, account: str, now: float) -> tuple[Way, str]:
        """Return how to ask at this sign-on, and what the user is to be told of it."""
        trouble = self._troubles.get(account)
        if trouble is None or trouble.ends < MAX_ENDS:
            return Way.ICQ, ""
        if now >= trouble.until:  # one more end, and it is as it was
            trouble.ends, trouble.until, trouble.told = MAX_ENDS - 1, now + DAY, False
            return Way.ICQ, ""
        if not (trouble.is_many or trouble.no_way):
            return Way.ICBM, OTHER_WAY
        return Way.NONE, "" if trouble.told else NO_WAY

    def note(self, account: str, stored: Stored, now: float, *, was_online: bool) -> None:
        """Take how a session ended."""
        if stored.way is Way.NONE:
            if was_online and account in self._troubles:
                self._troubles[account].told = True
            return
        if stored.is_complete:
            self._troubles.pop(account, None)
        if not stored.was_cut:
            return
        trouble = self._troubles.pop(account, None)
        if trouble is None or now >= trouble.until:
            trouble = _Trouble()
        if len(self._troubles) >= MAX_ACCOUNTS:
            self._troubles.popitem(last=False)
        self._troubles[account] = trouble
        trouble.ends += 1
        trouble.until = now + DAY
        trouble.is_many |= stored.count >= MANY
        trouble.no_way |= stored.way is Way.ICBM
