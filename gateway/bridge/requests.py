"""The gateway's own iq requests to one user's clients and server, and their answers (CORE-05).

An answer counts only from the JID that was asked, under the id of the question; whatever else comes
is dropped without a word (CORE-04). Nobody waits for ever: silence is an answer of its own.
"""

import attrs
import trio

from gateway.xmpp.component import Link
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import Iq, IqType
from gateway.xmpp.xml import Element

ANSWER_SECONDS = 30.0


@attrs.define(eq=False)
class _Waiting:
    answered: trio.Event = attrs.field(factory=trio.Event)
    answer: Iq | None = None


class Requests:
    """What one user's session has asked and waits for."""

    def __init__(self, link: Link, gateway: Jid) -> None:
        self._link = link
        self._gateway = gateway
        self._waiting: dict[tuple[Jid, str], _Waiting] = {}

    async def ask(
        self, to: Jid, type_: IqType, payload: Element, id_: str, seconds: float = ANSWER_SECONDS
    ) -> Iq | None:
        """Send a get or set and wait for its result or error. None: there was none in time."""
        waiting = self._waiting[to, id_] = _Waiting()
        try:
            question = Iq(from_=self._gateway, to=to, type=type_, id=id_, payload=payload)
            if self._link.send(question):
                with trio.move_on_after(seconds):
                    await waiting.answered.wait()
            else:
                await trio.lowlevel.checkpoint()
            return waiting.answer
        finally:
            del self._waiting[to, id_]

    def take(self, answer: Iq) -> None:
        """Give a result or error to whoever asked for it."""
        waiting = self._waiting.get((answer.from_, answer.id))
        if waiting is not None and not waiting.answered.is_set():
            waiting.answer = answer
            waiting.answered.set()


def failed(answer: Iq | None) -> bool:
    """Say whether what was asked was not done, for all that is known."""
    return answer is None or answer.type is not IqType.RESULT
