"""Messages on their way out: pieces, outcomes, and the second try by the old way."""

from collections.abc import Callable, Iterator
from itertools import count

from gateway.networks import base
from gateway.networks.base import Reason, Stage
from gateway.networks.oscar.protocol import talk, writing
from gateway.networks.oscar.protocol.moment import Moment
from gateway.networks.oscar.protocol.names import is_uin
from gateway.networks.oscar.protocol.presence import Presences
from gateway.networks.oscar.protocol.requests import Requests
from gateway.networks.oscar.wire import Error, Snac, encode_block, messages

NOT_LOGGED_ON = 0x04
NO_CLIENT_SUPPORT = 0x09
TOO_LONG = "This is longer than the service can take."
TOO_MIXED = "The service would damage this text. Send it without markup, or in several messages."
OLD_CLIENT = "The contact's client is too old for some letters of this text."


class Mail:
    """What the user says to others. `nonce` makes the cookies of one session its own."""

    def __init__(
        self,
        requests: Requests,
        dialect: talk.Dialect,
        own_address: str,
        nonce: bytes,
        presences: Presences,
        keeps: Callable[[str], Stage] | None = None,
    ) -> None:
        """`keeps` says what it means that somebody is refused a message for not being there."""
        self._requests = requests
        self._dialect = dialect
        self._own_address = own_address
        self._nonce = nonce
        self._presences = presences
        self._keeps = keeps
        self._cookies = count(1)
        self._sendings = talk.Sendings()
        self.max_bytes = talk.LEAST_BYTES

    def send(self, command: base.SendMessage) -> list[base.LegacyEvent]:
        lines = [command.text] if command.text else []
        text = "\n".join(lines + [one.url for one in command.attachments])
        pieces: list[writing.Piece] = []
        if len(text) <= self.max_bytes * talk.MAX_PIECES:
            reader = self._presences.reader(command.conversation)
            pieces = writing.pieces(text, reader, self._dialect, self.max_bytes)
        if not 0 < len(pieces) <= talk.MAX_PIECES:
            is_short = 0 < len(text.encode("utf-16-be", "replace")) <= self.max_bytes
            return [_failed(command, Reason.TOO_LONG, TOO_MIXED if is_short else TOO_LONG)]
        cookies = [self._cookie() for _ in pieces]
        sending = talk.Sending(command.ref, command.conversation, cookies[0], text)
        self._sendings.add(sending, cookies)
        is_number = self._dialect.own_is_uin
        features = messages.ICQ_FEATURES if is_number else messages.AIM_FEATURES
        for piece, cookie in zip(pieces, cookies, strict=True):
            message = messages.Send(
                cookie=cookie,
                channel=messages.PLAIN,
                to=sending.to,
                text=messages.encode_parts(piece, features),
                ask_ack=True,
                store=True,
                wants_typing=True,
            )
            self._post(sending, message)
        return []

    def accepted(self, cookie: bytes) -> Iterator[base.LegacyEvent]:
        """Take the service's word for a piece."""
        sending = self._sendings.find(cookie)
        if sending is not None and not self._presences.is_online(sending.to):
            self._keeps = None  # this service does not refuse what it keeps
        yield from self._sendings.accepted(cookie)

    def refused_by_client(self, address: str, cookie: bytes) -> Iterator[base.LegacyEvent]:
        """Take the word of the one a message went to; others can guess what cookie it has."""
        sending = self._sendings.find(cookie)
        if sending is not None and sending.to == address:
            text = "The contact's client cannot take this."
            yield from self._sendings.failed(cookie, Reason.UNSUPPORTED, text)

    def cancelled(self, ref: str) -> None:
        """Forget a message whose sender gave up; what was written may arrive."""
        self._requests.drop(ref)
        self._sendings.forget_ref(ref)

    def _post(self, sending: talk.Sending, message: messages.Send) -> None:
        cookie = message.cookie

        def answer(snac: Snac, at: Moment) -> Iterator[base.LegacyEvent]:
            if isinstance(snac.body, Error):
                yield from self._refused(cookie, snac.body)
            elif isinstance(snac.body, messages.HostAck):
                yield from self.accepted(cookie)

        def expire() -> Iterator[base.LegacyEvent]:
            self._requests.drop(sending.ref)
            yield from self._sendings.unknown(cookie)

        self._requests.ask(message, answer, expire, sending.ref)

    def _refused(self, cookie: bytes, error: Error) -> Iterator[base.LegacyEvent]:
        sending = self._sendings.find(cookie)
        if sending is None:
            return
        if error.code == NO_CLIENT_SUPPORT and self._may_retry(sending, cookie):
            sending.retried = True
            if (again := self._old_way(sending)) is not None:
                self._post(sending, again)
            else:
                yield from self._sendings.failed(cookie, Reason.UNSUPPORTED, OLD_CLIENT)
            return
        stage = Stage.FAILED
        if (error.code, error.subcode) == (NOT_LOGGED_ON, None) and self._keeps is not None:
            stage = self._keeps(sending.to)
        if stage is Stage.ACCEPTED:
            yield from self._sendings.accepted(cookie)
            return
        self._requests.drop(sending.ref)
        if stage is Stage.UNKNOWN:
            yield from self._sendings.unknown(cookie)
        else:
            yield from self._sendings.failed(cookie, *talk.reason_of(error))

    def _may_retry(self, sending: talk.Sending, cookie: bytes) -> bool:
        is_whole = sending.first == cookie and sending.waiting == {cookie}
        both_numbers = self._dialect.own_is_uin and is_uin(sending.to)
        return both_numbers and is_whole and not sending.retried

    def _old_way(self, sending: talk.Sending) -> messages.Send | None:
        """Write for a client that knows channel 4 alone; None: its code page lacks letters."""
        try:
            data = sending.text.encode(self._dialect.code_page)
        except UnicodeEncodeError:
            return None
        typed = messages.TypedMessage(int(self._own_address), messages.TypedKind.PLAIN, 0, data)
        return messages.Send(
            cookie=sending.first,
            channel=messages.TYPED,
            to=sending.to,
            data=encode_block(typed),
            ask_ack=True,
            store=True,
        )

    def _cookie(self) -> bytes:
        return self._nonce[:4] + (next(self._cookies) & 0xFFFFFFFF).to_bytes(4, "big")


def _failed(command: base.SendMessage, reason: Reason, text: str) -> base.LegacyEvent:
    return base.MessageOutcome(command.ref, Stage.FAILED, reason=reason, text=text)
