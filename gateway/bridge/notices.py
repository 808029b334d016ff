"""What a user is told of his session: that the service is lost, that it refused him (NOTE-01).

Many clients hide the presence error that XEP-0100 has for this, so one message says the same: at
once for a refusal, after a while for a loss that is not over by then. Each is told once.
"""

from collections.abc import Iterable

from gateway.bridge import texts
from gateway.bridge.features import presence
from gateway.bridge.translate import REFUSAL_CONDITIONS
from gateway.bridge.user import User
from gateway.networks.base import Refusal
from gateway.xmpp.jid import Jid
from gateway.xmpp.stanza import Condition, ErrorType

NOTE_SECONDS = 60.0  # a loss that is over by then is not worth a message
_NOTE = "note of a loss"


class Notices:
    """What has been said to one user. Nothing here waits."""

    def __init__(self, user: User) -> None:
        self._user = user
        self._told: set[str] = set()  # resources that know of the loss
        self._because: tuple[Condition, ErrorType, str] | None = None
        self._lost_text = texts.LOST
        self._service_said = ""

    def begin_loss(self, refusal: Refusal | None = None) -> None:
        """Note why the service is lost; None: it cannot be reached."""
        self._because, self._lost_text = None, texts.LOST
        if refusal is not None:
            text = self._user.refusal_text(refusal, "")
            self._because = (*REFUSAL_CONDITIONS[refusal], text)

    def begin_store_failure(self) -> None:
        """Note that it is the gateway's own store that keeps the user off."""
        text = self._user.text(texts.STORE_FAULT)
        self._because = (Condition.INTERNAL_SERVER_ERROR, ErrorType.WAIT, text)
        self._lost_text = texts.STORE_FAULT

    def tell_lost(self, to: Iterable[Jid]) -> None:
        """Tell those who do not know yet that the service is lost (GW-IN-08)."""
        user = self._user
        if not self._told:
            user.later.set(_NOTE, NOTE_SECONDS, lambda: user.note(self._lost_text))
        untold = [one for one in to if one.resource not in self._told]
        self._told.update(one.resource for one in untold)
        unreachable = user.text(texts.UNREACHABLE)
        because = (Condition.REMOTE_SERVER_TIMEOUT, ErrorType.WAIT, unreachable)
        user.presence_error(untold, *(self._because or because))

    def tell_newcomer(self, resource: Jid) -> None:
        """Tell a resource that comes while the others know of a loss."""
        if self._told:
            self.tell_lost([resource])

    def forget_resource(self, resource: str) -> None:
        self._told.discard(resource)

    def returned(self) -> None:
        """The user is signed on, or gone: a loss after this is another one."""
        self._user.later.cancel(_NOTE)
        self._told.clear()

    def note_refusal(self, service_said: str) -> None:
        self._service_said = service_said

    def tell_refused(self) -> None:
        """Tell of a refusal by presence errors and by one message (AMB-07)."""
        user = self._user
        refusal = user.refused or Refusal.FORBIDDEN
        condition, type_ = REFUSAL_CONDITIONS[refusal]
        text = user.refusal_text(refusal, self._service_said)
        resources = [user.full(resource) for resource in user.resources]
        user.presence_error(resources, condition, type_, text)
        presence.farewell(user, [user.jid])
        user.say(text)
