"""HTTP/1.1 for a page: GET and HEAD, one request after the other, each answered at once.

Framing is h11's. Everything a client can hold up or make large has a bound.
"""

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from urllib.parse import unquote

import attrs
import h11
import trio

log = logging.getLogger(__name__)

METHODS = ("GET", "HEAD")
MAX_HEAD_BYTES = 16 * 1024
REQUEST_SECONDS = 30  # for a whole request, and between two
ANSWER_SECONDS = 30  # for the client to read an answer
LINGER_SECONDS = 2
MAX_LINGER_BYTES = 1024 * 1024
READ_BYTES = 64 * 1024


@attrs.frozen
class Request:
    """What is asked for. Names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(repr=False)


@attrs.frozen
class Answer:
    """An answer. The length is added, and for a HEAD the body left out."""

    status: int
    headers: Mapping[str, str]
    body: bytes = attrs.field(default=b"", repr=False)


async def serve_http(stream: trio.abc.Stream, answer_to: Callable[[Request], Answer]) -> None:
    """Answer the requests of one client until either end closes; the stream is closed."""
    try:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        while await _serve_one(connection, stream, answer_to):
            connection.start_next_cycle()
        await _linger(stream)
    except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
        log.debug("a connection ended: %s", exc)
    except trio.TooSlowError:
        log.debug("a connection was too slow")
    finally:
        await trio.aclose_forcefully(stream)


async def _serve_one(
    connection: h11.Connection, stream: trio.abc.Stream, answer_to: Callable[[Request], Answer]
) -> bool:
    """Answer the next request, if there is one; return whether another may follow."""
    try:
        with trio.fail_after(REQUEST_SECONDS):
            event = await _next_event(connection, stream)
    except h11.RemoteProtocolError as exc:
        answer = _error(exc.error_status_hint)
        await _send(connection, stream, answer, head_only=False, closing=True)
        return False
    if not isinstance(event, h11.Request):
        return False
    request = _request(event)
    # A body is not read: what follows it cannot be, either.
    has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
    if not has_body:
        connection.next_event()
    answer = answer_to(request) if request.method in METHODS else _error(405)
    head_only = request.method == "HEAD"
    await _send(connection, stream, answer, head_only=head_only, closing=has_body)
    return connection.our_state is h11.DONE and connection.their_state is h11.DONE


async def _next_event(connection: h11.Connection, stream: trio.abc.Stream) -> object:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(bytes(await stream.receive_some(READ_BYTES)))
    return event


def _request(event: h11.Request) -> Request:
    path = event.target.partition(b"?")[0].decode("latin-1")
    headers = {name.decode("ascii"): value.decode("latin-1") for name, value in event.headers}
    return Request(event.method.decode("ascii"), unquote(path), headers)


def _error(status: int) -> Answer:
    headers = {
        "content-type": "text/plain; charset=utf-8",
        "cache-control": "no-store",
        "allow": ", ".join(METHODS),
    }
    return Answer(status, headers, HTTPStatus(status).phrase.encode())


async def _send(
    connection: h11.Connection,
    stream: trio.abc.Stream,
    answer: Answer,
    *,
    head_only: bool,
    closing: bool,
) -> None:
    headers = dict(answer.headers)
    if answer.status != HTTPStatus.NOT_MODIFIED:
        headers["content-length"] = str(len(answer.body))
    if closing:
        headers["connection"] = "close"
    reason = HTTPStatus(answer.status).phrase.encode()
    events: list[h11.Event] = [
        h11.Response(status_code=answer.status, headers=list(headers.items()), reason=reason)
    ]
    if answer.body and not head_only:
        events.append(h11.Data(data=answer.body))
    events.append(h11.EndOfMessage())
    data = b"".join(connection.send(event) or b"" for event in events)
    with trio.fail_after(ANSWER_SECONDS):
        await stream.send_all(data)


async def _linger(stream: trio.abc.Stream) -> None:
    """Let the client read its answer: closing over unread bytes would take it away."""
    if not isinstance(stream, trio.abc.HalfCloseableStream):
        return
    with trio.move_on_after(LINGER_SECONDS):
        await stream.send_eof()
        left = MAX_LINGER_BYTES
        while left > 0 and (data := await stream.receive_some(READ_BYTES)):
            left -= len(data)
