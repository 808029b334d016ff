"""As much of IRC as biboumi needs: channels in which each user meets the contacts c0, c1, ...

A private message to a nick comes back from that nick. Presence changes are PARTs and JOINs.
"""

from scripts.measure.peers.loop import Peer, contacts_wanted, serve

_WELCOME = (
    b":irc 001 %(nick)s :Welcome\r\n:irc 002 %(nick)s :irc\r\n:irc 003 %(nick)s :now\r\n"
    b":irc 004 %(nick)s irc bench o o\r\n"
    b":irc 005 %(nick)s CHANTYPES=# PREFIX=(ov)@+ :are supported\r\n"
    b":irc 422 %(nick)s :no motd\r\n"
)
_JOINED = (
    b":%(nick)s!%(nick)s@legacy JOIN %(channel)s\r\n"
    b":irc 353 %(nick)s = %(channel)s :%(nick)s %(nicks)s\r\n"
    b":irc 366 %(nick)s %(channel)s :end\r\n"
)


class IrcPeer(Peer):
    def __init__(self, nicks: list[bytes]) -> None:
        self._nicks = nicks
        self._buffer = b""
        self._nick = b""
        self._channel = b""
        self._here = True

    def receive(self, data: bytes) -> bytes:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return b"".join([self._answer(line.rstrip(b"\r")) for line in lines])

    def change_presence(self) -> bytes:
        if not self._channel:
            return b""
        self._here = not self._here
        change = b"JOIN" if self._here else b"PART"
        return b"".join(
            b":%b!%b@legacy %b %b\r\n" % (nick, nick, change, self._channel) for nick in self._nicks
        )

    def _answer(self, line: bytes) -> bytes:
        command, _, rest = line.partition(b" ")
        match command.upper():
            case b"PRIVMSG":
                nick, _, text = rest.partition(b" :")
                return b":%b!%b@legacy PRIVMSG %b :%b\r\n" % (nick, nick, self._nick, text)
            case b"NICK":
                self._nick = rest.strip().lstrip(b":")
            case b"USER":
                return _WELCOME % {b"nick": self._nick}
            case b"JOIN":
                self._channel = rest.split()[0]
                nicks = b" ".join(self._nicks)
                names = {b"nick": self._nick, b"channel": self._channel, b"nicks": nicks}
                return _JOINED % names
            case b"MODE":
                return b":irc 324 %b %b +nt\r\n" % (self._nick, rest.strip())
            case b"PING":
                return b":irc PONG irc %b\r\n" % rest
            case b"QUIT":
                self.finished = True
                return b"ERROR :bye\r\n"
        return b""


if __name__ == "__main__":
    contacts = [b"c%d" % number for number in range(contacts_wanted())]
    serve(lambda _port: IrcPeer(contacts))
