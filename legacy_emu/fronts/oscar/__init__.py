"""The OSCAR front: AIM and ICQ clients, on one port for login and all services.

A connection begins as a `Link`, which is frames and nothing else. What its first frame asks for
decides who talks on it: `Login`, `Bos` (the service proper), `Icons` or `ChatNav`.
`docs/emulator.md` has what works, and the protocol's own faults.
"""

import trio

from legacy_emu.faults import FaultyStream, Kind, Moment
from legacy_emu.fronts.oscar.link import Link
from legacy_emu.service import Service


async def serve(stream: trio.abc.Stream, service: Service) -> None:
    """Serve one client on `stream`, until either has enough; the stream is closed."""
    address, peer = _address_of(stream, service), _peer_of(stream)
    connection = service.connect("oscar")
    link = Link(service, connection, address, peer)
    try:
        with connection.scope:
            if service.faults.take(Kind.DROP, connection, Moment.CONNECT) is None:
                await link.run(FaultyStream(stream, connection, service.faults, service.world))
    finally:
        link.leave()
        service.disconnect(connection)
        await trio.aclose_forcefully(stream)


def _peer_of(stream: trio.abc.Stream) -> str:
    """Return the host a client comes from; what is no socket comes from one place."""
    if isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if not isinstance(stream, trio.SocketStream):
        return ""
    try:
        return str(stream.socket.getpeername()[0])
    except OSError:  # it is gone already
        return ""


def _address_of(stream: trio.abc.Stream, service: Service) -> str:
    """Return where the client of `stream` came to: it is sent there again after the login."""
    if isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if isinstance(stream, trio.SocketStream):
        host, port = stream.socket.getsockname()[:2]
        return f"{host}:{port}"
    return service.addresses.get("oscar", "")
