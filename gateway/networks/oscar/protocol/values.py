"""Events of value, with the token, the id and the time they came with."""

from datetime import datetime

import attrs

from gateway.networks import base


@attrs.frozen
class Value:
    """What all values carry."""

    token: object | None = None
    legacy_id: str | None = None
    sent_at: datetime | None = None

    def message(self, address: str, text: str) -> base.MessageReceived:
        return base.MessageReceived(
            token=self.token,
            legacy_id=self.legacy_id,
            sent_at=self.sent_at,
            conversation=address,
            sender=address,
            text=text,
        )

    def request(self, address: str, nick: str, reason: str) -> base.ContactRequest:
        return base.ContactRequest(
            token=self.token,
            legacy_id=self.legacy_id,
            sent_at=self.sent_at,
            address=address,
            nick=nick,
            reason=reason,
        )

    def answer(self, address: str, granted: bool, reason: str) -> base.RequestAnswered:
        return base.RequestAnswered(
            token=self.token,
            legacy_id=self.legacy_id,
            sent_at=self.sent_at,
            address=address,
            granted=granted,
            reason=reason,
        )


LIVE = Value()
