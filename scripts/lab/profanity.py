"""Profanity, a Jabber client for terminals, as somebody sits at it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from scripts.lab.terminal import Terminal, terminal
from scripts.lab.xmpp_server import User, XmppServer, find_program, look_up

DEBIAN_PACKAGE = "profanity"

# It asks nothing about certificates, and leaves out what it would publish about encryption.
_SETTINGS = """\
[connection]
reconnect=0
[omemo]
policy=manual
[otr]
policy=manual
"""

_ACCOUNT = """\
[{jid}]
enabled=true
jid={jid}
resource=profanity
server={host}
port={port}
tls.policy=disable
password={password}
"""


@asynccontextmanager
async def profanity(user: User, server: XmppServer, home: Path) -> AsyncGenerator[Terminal, None]:
    """Start it with `home`, an empty folder, for its own. It knows the account, no more."""
    for folder, name, text in (
        (".config/profanity", "profrc", _SETTINGS),
        (
            ".local/share/profanity",
            "accounts",
            _ACCOUNT.format(
                jid=user.jid, host=server.host, port=server.client_port, password=user.password
            ),
        ),
    ):
        (home / folder).mkdir(parents=True)
        file = home / folder / name
        file.write_text(text, "utf-8")
        file.chmod(0o600)
    command = [find_program("profanity", DEBIAN_PACKAGE)]
    environment = {
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
    }
    async with terminal("profanity", command, home, environment=environment) as screen:
        await screen.see("Profanity")
        yield screen


def is_installed() -> bool:
    return look_up("profanity") is not None
