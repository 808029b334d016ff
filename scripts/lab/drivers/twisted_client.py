"""A user of Twisted's OSCAR client: commands come on the input, what it tells goes to the output.

The first argument is the folder in which Twisted is installed. Python 2.7 runs this, and tools for
Python 3 read it. Twisted takes and gives bytes; names and texts here are UTF-8, as in JSON.
"""

# mypy: ignore-errors

import json
import site
import sys

site.addsitedir(sys.argv[1])  # a mere folder on the path would hide zope.interface

from twisted.internet import protocol, reactor, stdio
from twisted.internet.defer import Deferred
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python import log
from twisted.words.protocols import oscar


class Bos(oscar.BOSConnection):
    """What the user does of itself: fetch the list, use it, and be online."""

    def initDone(self):
        user.bos = self
        self.requestSelfInfo().addCallback(lambda own: user.tell("own_info", name=own.name))
        self.requestSSI().addCallback(self.have_list).addErrback(log.err)

    def have_list(self, found):
        groups, _, denied = found[:3]
        user.tell(
            "list",
            groups={group.name: [each.name for each in group.users] for group in groups},
            names={
                each.name: each.tlvs[0x131]
                for group in groups
                for each in group.users
                if 0x131 in each.tlvs
            },
            denied=denied,
        )
        self.activateSSI()
        self.setProfile("I use Twisted")
        self.setIdleTime(0)
        self.clientReady()
        user.tell("signed_on")

    def updateBuddy(self, buddy):
        user.tell("shown", name=buddy.name, away="away" in buddy.flags)

    def offlineBuddy(self, buddy):
        user.tell("gone", name=buddy.name)

    def receiveMessage(self, sender, multiparts, flags):
        user.tell("message", sender=sender.name, text="".join(map(plain, multiparts)))

    def oscar_01_05(self, snac, d=None):
        # QUIRK(Twisted 16.6): its own method passes over two bytes that old servers had before the
        # TLVs, and takes the whole address for a host, with the port 5190.
        tlvs = oscar.readTLVs(snac[3])
        host, port = tlvs[5].split(":")
        maker = protocol.ClientCreator(reactor, oscar.ChatNavService, self, tlvs[6], d)
        maker.connectTCP(host, int(port)).addCallback(self.have_rooms)

    def have_rooms(self, service):
        self.services[oscar.SERVICE_CHATNAV] = service


def plain(part):
    """Return the text of one part of a message: bytes, and perhaps how they are to be read."""
    data, marks = part[0], part[1:]
    charset = "utf-16-be" if "unicode" in marks else "iso-8859-1"
    return oscar.dehtml(data.decode(charset)).encode("utf-8")


class Login(oscar.OscarAuthenticator):
    BOSClass = Bos


class User(LineOnlyReceiver):
    delimiter = "\n"
    bos = None

    def tell(self, event, **fields):
        self.sendLine(json.dumps(dict(fields, event=event)))

    def lineReceived(self, line):
        fields = json.loads(line)
        command = fields.pop("do")
        getattr(self, "do_" + command)(**{str(key): bytes_of(each) for key, each in fields.items()})

    def do_sign_on(self, host, port, name, password, roasted=False):
        over = Deferred()
        over.addErrback(self.refused)
        maker = protocol.ClientCreator(reactor, Login, name, password, over, int(roasted))
        maker.connectTCP(host, port)

    def refused(self, failure):
        text, url = failure.value
        self.tell("refused", text=text, url=url)

    def do_send(self, to, text):
        """Send a text, with the accents that Latin-1 has; others it does not send correctly."""
        part = [oscar.html(text).decode("utf-8"), "iso-8859-1"]
        sent = self.bos.sendMessage(to, [part], wantAck=1)
        sent.addCallbacks(lambda _: self.tell("sent", to=to), self.failed("not_sent"))

    def do_away(self, text):
        self.bos.setAway(text or None)

    def do_ask_away(self, name):
        answer = self.bos.getAway(name)
        answer.addCallback(lambda text: self.tell("away_text", text=oscar.dehtml(text)))

    def do_create_room(self, name):
        made = self.bos.createChat(name)
        made.addCallbacks(lambda _: self.tell("room"), self.failed("no_room"))

    def do_sign_off(self):
        self.bos.disconnect()

    def failed(self, event):
        """Return what tells of an error SNAC, whose code stands in its first two bytes."""
        return lambda failure: self.tell(event, code=ord(failure.value[5][1]))

    def connectionLost(self, reason):
        if reactor.running:
            reactor.stop()


def bytes_of(value):
    return value.encode("utf-8") if hasattr(value, "encode") else value


log.startLogging(sys.stderr, setStdout=False)
user = User()
stdio.StandardIO(user)
reactor.run()
