"""biboumi, an IRC gateway in C++, as Debian has it.

It does less: a sign-on is the joining of one channel with 20 others, contacts are those others, and
private messages are not stored. Its throttle, ten messages and then one a second for each user, is
switched off in its database, for which it has no other setting.
"""

import contextlib
import shutil
import sqlite3
from pathlib import Path

from scripts.measure.names import CONTACTS, GATEWAY, SECRET, user_jid
from scripts.measure.process import Process, interruptions_held, wait_until
from scripts.measure.subjects.base import Subject

PROGRAM = "biboumi"
IRC_SERVER = "bench"  # the name that users give it
NO_PORT = 1  # where no server is
_LAST_MADE = "archive_index"  # when it makes its database
_INSERT = """\
insert into ircserveroptions_(owner_, server_, ports_, address_, tlsports_, throttlelimit_,
    verifycert_, pass_, username_, realname_, nick_, saslpassword_, trustedfingerprint_,
    encodingin_, encodingout_)
values(?, ?, ?, '127.0.0.1', '', -1, 0, '', '', '', '', '', '', '', '')
"""

_CONFIGURATION = """\
hostname={gateway}
password={secret}
xmpp_server_ip=127.0.0.1
port={port}
db_name={folder}/biboumi.sqlite
log_file={folder}/biboumi.log
log_level=3
identd_port=0
persistent_by_default=true
"""


def is_installed() -> bool:
    return shutil.which(PROGRAM) is not None


class Biboumi(Subject):
    name = "biboumi"
    online_marker = b"code='110'"  # the user's own presence in the channel, which comes last

    def peer_module(self) -> str:
        return "irc"

    def prepare(self) -> None:
        """Have it make its database; the options follow in `command`, which knows the port."""
        self._write_configuration(NO_PORT)
        with interruptions_held():
            self._process = Process(PROGRAM, self._program(), self.place.folder / "making.log")
        wait_until(self._has_tables, "biboumi's database")
        self._process.stop()

    def command(self, legacy_port: int) -> list[str]:
        self._write_configuration(self.place.port)
        self._set_options(legacy_port)
        return self._program()

    def sign_on(self, user: int) -> bytes:
        channel = f"#r{user}%{IRC_SERVER}@{GATEWAY}"
        return (
            f"<presence from='{user_jid(user)}/bench' to='{channel}/u{user}'>"
            "<x xmlns='http://jabber.org/protocol/muc'/></presence>"
        ).encode()

    def contact(self, number: int) -> str:
        return f"c{number % CONTACTS}%{IRC_SERVER}@{GATEWAY}"

    @property
    def _database(self) -> Path:
        return self.place.folder / "biboumi.sqlite"

    def _program(self) -> list[str]:
        return [PROGRAM, str(self.place.folder / "biboumi.cfg")]

    def _write_configuration(self, port: int) -> None:
        text = _CONFIGURATION.format(
            gateway=GATEWAY, secret=SECRET, port=port, folder=self.place.folder
        )
        (self.place.folder / "biboumi.cfg").write_text(text, "utf-8")

    def _has_tables(self) -> bool:
        if not self._database.exists():
            return False
        with contextlib.closing(sqlite3.connect(self._database)) as database:
            found = database.execute("select name from sqlite_master")
            return (_LAST_MADE,) in found.fetchall()

    def _set_options(self, irc_port: int) -> None:
        """Point every user's server at our port, without TLS and without the throttle."""
        rows = [(user_jid(user), IRC_SERVER, str(irc_port)) for user in range(self.place.users)]
        with contextlib.closing(sqlite3.connect(self._database)) as database, database:
            database.executemany(_INSERT, rows)
            # Without one it looks through all rows for each user.
            database.execute("create index bench on ircserveroptions_(owner_, server_)")
