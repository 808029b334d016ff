"""Lines for the yardstick: `m TAB contact TAB text` is returned, `p` lines are presence."""

from scripts.measure.peers.loop import Peer, contacts_wanted, serve


class LinesPeer(Peer):
    def __init__(self, presences: dict[str, bytes]) -> None:
        self._presences = presences
        self._show = "online"

    def receive(self, data: bytes) -> bytes:
        return data

    def change_presence(self) -> bytes:
        self._show = "away" if self._show == "online" else "online"
        return self._presences[self._show]


if __name__ == "__main__":
    numbers = range(contacts_wanted())
    changes = {
        show: b"".join(b"p\tc%d\t%b\n" % (number, show.encode()) for number in numbers)
        for show in ("online", "away")
    }
    serve(lambda _port: LinesPeer(changes))
