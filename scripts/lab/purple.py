"""libpurple, of Pidgin, as an AIM and ICQ client: somebody talks IRC to BitlBee, which drives it.

Debian 12 has libpurple and BitlBee, but no longer libpurple's plug-in for AIM and ICQ. Debian 11
has it, and it fits: it is taken out of that package into this user's cache, and nothing of Debian
11 is installed. Of Debian 12's own programs only BarnOwl still speaks OSCAR, and it aborts when it
connects.
"""

import re
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from scripts.lab.fetching import FetchFailed, cache, cached, output_of
from scripts.lab.processes import Running, running
from scripts.lab.xmpp_server import look_up

DEBIAN_PACKAGE = "bitlbee-libpurple"
PLUG_IN_PACKAGE = "libpurple0"
PATIENCE_SECONDS = 15
MAX_READ_BYTES = 65536
SHOWN_COLUMNS = 100

# Where Debian 11 is, beside the mirrors this machine uses, and where it goes when it is archived;
# what is archived has signatures of the past.
_MIRROR = "http://ftp.debian.org/debian/"
_ARCHIVE = "http://archive.debian.org/debian/"
_KEY = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_FOLDER = "purple-oscar"
_FILES = ("libaim.so", "libicq.so", "liboscar.so.0")

_SETTINGS = """\
[settings]
RunMode = Inetd
ConfigDir = {home}
PluginDir = {plug_ins}
"""


class PlugInMissing(Exception):
    """libpurple's plug-in for AIM and ICQ is not to be had; the message says what to do."""


class NotHeard(AssertionError):
    """BitlBee did not say what was waited for; the message ends in the conversation."""


# --- the plug-in ------------------------------------------------------------------------------


async def plug_ins() -> Path:
    """Return the folder with libpurple's plug-in; it is fetched once. Raises `PlugInMissing`."""
    try:
        return await cached(_FOLDER, _made)
    except FetchFailed as exc:
        raise PlugInMissing(
            f"put {', '.join(_FILES)} of Debian 11's package {PLUG_IN_PACKAGE} into "
            f"{cache() / _FOLDER / 'purple'}: it could not be fetched ({exc})"
        ) from exc


async def _made(scratch: Path) -> Path:
    """Return a folder as BitlBee wants it, in `scratch`."""
    package = await _fetched(scratch)
    await output_of("dpkg-deb", "--extract", package, scratch / "files")
    made = scratch / "made"
    (made / "purple").mkdir(parents=True)
    for file in _FILES:
        found = next((scratch / "files" / "usr" / "lib").rglob(file), None)
        if found is None:
            raise FetchFailed(f"{package.name} has no {file}")
        shutil.copyfile(found, made / "purple" / file)
    return made


async def _fetched(scratch: Path) -> Path:
    """Download the package of Debian 11, checked by apt as ever, with nothing of the system's."""
    if look_up("apt-get") is None or not await trio.Path(_KEY).exists():
        raise FetchFailed(f"this needs apt-get and {_KEY}")
    for part in ("lists/partial", "cache/archives/partial", "package"):
        (scratch / part).mkdir(parents=True)
    (scratch / "status").touch()
    errors = []
    for mirror in [*dict.fromkeys([*await _mirrors(), _MIRROR]), _ARCHIVE]:
        checks = " check-valid-until=no" if mirror == _ARCHIVE else ""
        source = f"deb [signed-by={_KEY}{checks}] {mirror} bullseye main\n"
        (scratch / "sources.list").write_text(source, "utf-8")
        options = {
            "Dir::Etc::sourcelist": scratch / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State": scratch,
            "Dir::State::lists": scratch / "lists",
            "Dir::State::status": scratch / "status",
            "Dir::Cache": scratch / "cache",
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Acquire::Retries": "1",
            "Acquire::http::Timeout": "15",
            "Debug::NoLocking": "1",
        }
        apt = ["apt-get", "-q", *(f"-o{key}={value}" for key, value in options.items())]
        try:
            await output_of(*apt, "-eany", "update", folder=scratch / "package")
            await output_of(*apt, "download", PLUG_IN_PACKAGE, folder=scratch / "package")
        except FetchFailed as exc:
            errors.append(f"{mirror}: {exc}")
            continue
        return next((scratch / "package").glob("*.deb"))
    raise FetchFailed("; ".join(errors))


async def _mirrors() -> list[str]:
    """Return the mirrors of Debian that this machine's apt knows; Ubuntu's has none."""
    targets = ("Created-By: Packages", "Origin: Debian", "Label: Debian")
    try:
        return (
            await output_of("apt-get", "indextargets", "--format=$(REPO_URI)", *targets)
        ).split()
    except FetchFailed:
        return []


async def _version() -> str:
    try:
        return await output_of("dpkg-query", "--show", "--showformat=${Version}", PLUG_IN_PACKAGE)
    except FetchFailed:
        return "(of unknown version)"


# --- BitlBee ----------------------------------------------------------------------------------


class Bee:
    """Somebody's conversation with BitlBee: lines of IRC.

    What it says is kept until somebody asks: `hear` takes the oldest line that fits and leaves the
    others, `forget` drops them all.
    """

    def __init__(self, stream: trio.abc.Stream, process: Running) -> None:
        self._stream = stream
        self._process = process
        self._lines: list[str] = []
        self._unfinished = b""
        self._raw: list[str] = []
        self._hidden = 0
        self.client = ""
        """What it is, with its version."""
        self.transcript: list[str] = []
        """The conversation as people read it, without passwords."""

    async def say(self, *lines: str, secret: str = "") -> None:
        """Say this; `secret` is in no transcript."""
        for line in lines:
            self._note(">>>", line.replace(secret, "(password)") if secret else line)
            await self._stream.send_all(f"{line}\r\n".encode())

    async def command(self, text: str, *, secret: str = "") -> None:
        """Tell BitlBee itself something."""
        await self.say(f"PRIVMSG &bitlbee :{text}", secret=secret)

    async def hear(self, *parts: str) -> str:
        """Wait for a line with all these parts and take it. Raises `NotHeard`."""
        seen = 0
        with trio.move_on_after(PATIENCE_SECONDS):
            while True:
                for place, line in enumerate(self._lines[seen:], seen):
                    if all(part in line for part in parts):
                        return self._lines.pop(place)
                seen = len(self._lines)
                await self._read()
        raise self.not_heard(f"heard nothing with {' and '.join(parts)}")

    def forget(self) -> None:
        """Drop what was said so far and nobody asked for."""
        self._lines.clear()

    def begin(self) -> None:
        """Forget how it began, for good."""
        self.forget()
        self._raw.clear()

    @asynccontextmanager
    async def aside(self) -> AsyncGenerator[None, None]:
        """What is said meanwhile is none of the transcript's business."""
        self._hidden += 1
        try:
            yield
        finally:
            self._hidden -= 1

    async def _read(self) -> None:
        data = await self._stream.receive_some(MAX_READ_BYTES)
        if not data:
            code = await self._process.process.wait()
            raise self.not_heard(f"BitlBee has ended with {code}")
        *lines, self._unfinished = (self._unfinished + data).split(b"\r\n")
        for line in lines:
            text = line.decode("utf-8", "replace")
            self._note("<<<", text)
            self._lines.append(text)

    def _note(self, way: str, line: str) -> None:
        self._raw.append(f"{way} {line}")
        shown = _readable(line) if way == "<<<" else _said(line)
        if not self._hidden and shown:
            self.transcript.append(f"{way} {shown}"[:SHOWN_COLUMNS])

    def not_heard(self, what: str) -> NotHeard:
        """Return an error for this, with the conversation."""
        return NotHeard("\n".join((what, *self._raw[-60:], self._process.log_tail())))

    async def sign_on(self, protocol: str, name: str, password: str, address: str) -> str:
        """Add an account and sign on; returns what came of it: "Logged in", or an error."""
        host, _, port = address.rpartition(":")
        await self.command(f"account add {protocol} {name} {password}", secret=password)
        tag = (await self.hear("Account successfully added with tag")).rpartition(" ")[2]
        known = {
            "server": host,
            "port": port,
            "login_type": "md5_login",
            "encryption": "no_encryption",
            "auto_reconnect": "false",
        }
        async with self.aside():
            for key, value in known.items():
                await self.command(f"account {tag} set {key} {value}")
                await self.hear(f"{key} = ")
        return await self.sign_on_again(tag)

    async def sign_on_again(self, tag: str) -> str:
        """Sign on with an account that BitlBee knows; returns as `sign_on`."""
        await self.command(f"account {tag} on")
        while True:
            line = await self.hear(f"{tag} - Log")
            if "Logged in" in line or "error" in line:
                return line.rpartition(": ")[2]


_BITLBEE = ":root!root@localhost PRIVMSG &bitlbee :"
_NOISE = re.compile(
    "Logging in: (?!Logged in)|Signing off|successfully|commands to accept|info:$"
    "|^Online Since|^----|^Profile|^city|^house|^UIN|^Nick|^(First|Last) Name|^Home|^City"
)


def _said(line: str) -> str:
    """Return what somebody types: commands, and texts with whom they are for."""
    to, _, text = line.removeprefix("PRIVMSG ").partition(" :")
    if not line.startswith("PRIVMSG "):
        return line
    return text if to == "&bitlbee" else f"({to}) {_plain(text)}"


def _readable(line: str) -> str:
    """Return what BitlBee says as people see it, or nothing if it is of no interest to them."""
    if line.startswith(_BITLBEE):
        text = line.removeprefix(_BITLBEE)
        return "" if _NOISE.search(text) else text
    who, _, rest = line.removeprefix(":").partition(" ")
    who, (command, _, rest) = who.partition("!")[0], rest.partition(" ")
    if command == "PRIVMSG":
        return f"({who}) {_plain(rest.partition(' :')[2])}"
    if command in ("311", "353"):
        return rest.partition(" ")[2]
    if rest.endswith("&bitlbee"):
        return f"{who} has come"
    if command == "MODE" and rest.startswith("&bitlbee -v "):
        return f"{rest.split(' ')[-1]} is away"
    return f"{who} has gone" if command == "QUIT" else ""


def _plain(text: str) -> str:
    return text.replace("\x01", "*")


@asynccontextmanager
async def bitlbee(home: Path, plug_in_folder: Path) -> AsyncGenerator[Bee, None]:
    """Run BitlBee for one person, with `home`, an empty folder, for its own."""
    config = home / "bitlbee.conf"
    config.write_text(_SETTINGS.format(home=home, plug_ins=plug_in_folder), "utf-8")
    program = look_up("bitlbee") or "bitlbee"
    command: list[str | Path] = [program, "-I", "-c", config, "-d", home]
    environment = {
        "HOME": str(home),
        "LD_LIBRARY_PATH": str(plug_in_folder / "purple"),
        "BITLBEE_DEBUG": "1",
        "DBUS_SESSION_BUS_ADDRESS": "disabled:",
        "LC_ALL": "C.UTF-8",
    }
    ours, theirs = trio.socket.socketpair()
    with theirs:
        starting = running(
            "bitlbee", command, home / "log", environment=environment, stdin=theirs.fileno()
        )
        async with starting as process, trio.SocketStream(ours) as stream:
            theirs.close()
            bee = Bee(stream, process)
            async with bee.aside():
                await bee.say("NICK somebody", "USER somebody 0 * :somebody")
                where = await bee.hear("Host localhost is running")
                if "LIBPURPLE" not in where:
                    raise PlugInMissing(f"BitlBee has no libpurple: get {DEBIAN_PACKAGE} instead")
                bee.client = f"libpurple {await _version()} in {where.rpartition('running ')[2]}"
                await bee.hear("Welcome to the BitlBee gateway")
                await bee.command("register secret-of-bitlbee")
                await bee.hear("Account successfully created")
                await bee.command("set typing_notice true")
                await bee.hear("typing_notice = ")
            bee.begin()
            yield bee


def is_installed() -> bool:
    return look_up("bitlbee") is not None
