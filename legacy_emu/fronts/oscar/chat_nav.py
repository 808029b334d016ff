"""Chat navigation without a single room: some clients do not sign on without the service."""

from gateway.networks.oscar import wire
from gateway.networks.oscar.wire import rooms
from legacy_emu.fronts.oscar.beside import Beside
from legacy_emu.fronts.oscar.codes import Code

CREATE_NOTHING = 0

# The numbers are those of Open OSCAR Server, except that nothing may be created.
_EXCHANGE = rooms.Exchange(
    id=4,  # in which clients create their rooms
    max_rooms=10,
    permissions=0x0010,
    max_name_bytes=100,
    flags=0x000F,
    may_create=CREATE_NOTHING,
    charset="us-ascii",
    language="en",
    second_charset="us-ascii",
    second_language="en",
)
_REPLY = rooms.RoomsReply(max_rooms=10, exchange=_EXCHANGE)


class ChatNav(Beside):
    """A `Speaker`."""

    GROUP = rooms.GROUP

    def serve(self, body: wire.Body, request: int) -> None:
        match body:
            case rooms.RightsQuery() | rooms.ExchangeQuery(exchange=_EXCHANGE.id):
                self._link.say(_REPLY, request)
            case rooms.ExchangeQuery():
                self.refuse(body, request, Code.UNSUPPORTED)
            case rooms.RoomQuery():
                self.refuse(body, request, Code.NO_MATCH)
            case rooms.CreateRoom():
                self.refuse(body, request, Code.DENIED)
            case _:
                super().serve(body, request)
