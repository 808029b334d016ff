"""A Jabber client in a process of its own: slixmpp, which runs on asyncio only.

`jabber.py` starts it and speaks with it in JSON, an object a line. To it: `login`, `logout`, `drop`
and `send`, each with a number. From it: the answer with that number, every stanza received, and the
end of the stream. It does nothing by itself: it asks for no roster, sends no presence and answers
no subscription. It ends when its input does.
"""

import asyncio
import json
import sys
from typing import Any

import slixmpp
from slixmpp.xmlstream import tostring

LOGIN_SECONDS = 20
LOGOUT_SECONDS = 5
MAX_LINE_BYTES = 4 * 1024 * 1024


def tell(**what: object) -> None:
    """Write one line to the one who drives us."""
    print(json.dumps(what), flush=True)


class Client(slixmpp.ClientXMPP):
    def __init__(self, jid: str, password: str) -> None:
        super().__init__(jid, password)
        # The server is on this machine, and private.
        self.enable_starttls = False
        self.enable_direct_tls = False
        self.enable_plaintext = True
        self.plugin["feature_mechanisms"].unencrypted_scram = True
        self.use_aiodns = False
        self.auto_authorize = None
        self.auto_subscribe = False
        self.outcome: asyncio.Future[str] = self.loop.create_future()
        self.add_filter("in", self._show)
        self.add_event_handler("session_start", self._on_start)
        self.add_event_handler("failed_all_auth", lambda _: self._fail("not authorized"))
        self.add_event_handler("connection_failed", lambda why: self._fail(f"no connection: {why}"))
        self.add_event_handler("stream_error", lambda error: self._fail(f"stream error: {error}"))
        self.add_event_handler("disconnected", self._on_end)

    def _show(self, stanza: Any) -> Any:
        # What comes before is the login's own business.
        if self.outcome.done() and stanza.xml.tag in _SHOWN:
            tell(stanza=tostring(stanza.xml, top_level=True))
        return stanza

    def _on_start(self, _: object) -> None:
        if not self.outcome.done():
            self.outcome.set_result(self.boundjid.full)

    def _fail(self, why: str) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(ConnectionError(why))

    def _on_end(self, why: object) -> None:
        self._fail(f"the stream ended: {why}")
        tell(ended=str(why or ""))


_SHOWN = frozenset(f"{{jabber:client}}{kind}" for kind in ("message", "presence", "iq"))


async def obey(client: Client | None, order: dict[str, Any]) -> tuple[Client | None, str]:
    """Carry out one order; return the client there is afterwards, and the answer."""
    if order["do"] == "login":
        client = Client(order["jid"], order["password"])
        client.connect(order["host"], order["port"])
        return client, await asyncio.wait_for(client.outcome, LOGIN_SECONDS)
    if client is None or not client.is_connected():
        raise ConnectionError("not logged in")
    match order["do"]:
        case "send":
            client.send_raw(order["xml"])
        case "logout":
            await client.disconnect(wait=LOGOUT_SECONDS)
            client = None
        case "drop":
            client.abort()
            client = None
        case other:
            raise ValueError(f"unknown order {other!r}")
    return client, ""


async def main() -> None:
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    client: Client | None = None
    while line := await orders.readline():
        order = json.loads(line)
        try:
            client, answer = await obey(client, order)
        except (ConnectionError, TimeoutError, ValueError) as exc:
            tell(failed=order["number"], why=str(exc) or type(exc).__name__)
        else:
            tell(done=order["number"], answer=answer)
    if client is not None:
        await client.disconnect(wait=LOGOUT_SECONDS)


if __name__ == "__main__":
    asyncio.run(main())
