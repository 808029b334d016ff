"""The legacy user's page as it is served: files, headers, what it is told, whom it answers."""

import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import pytest
import trio

from legacy_emu import config, server
from legacy_emu.config import AccountConfig, BotConfig, Config, ConfigError, WebConfig
from legacy_emu.host import RealWorld, dial
from legacy_emu.server import CannotListen, Running

PATIENCE_SECONDS = 20
WEB = Path(server.__file__).with_name("web")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
FILES = sorted(path.name for path in WEB.iterdir() if path.suffix in TYPES)
FREE = "127.0.0.1:0"

PEOPLE = Config(
    fronts={"websocket": FREE},
    control=FREE,
    account=(
        AccountConfig("Romeo", "romeo-pw", "Romeo Montague"),
        AccountConfig("Echo", "echo-pw"),
    ),
    bot=(BotConfig("echo"),),
    web=WebConfig(listen=FREE),
)


@attrs.frozen
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@attrs.frozen
class Site:
    """An emulator with a page, and the most literal of its visitors."""

    running: Running

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.running.urls["web"][len("http://") : -1].rpartition(":")
        return host.strip("[]"), int(port)

    async def ask(self, target: str, method: str = "GET", **headers: str) -> Answer:
        host, port = self.address
        lines = {"host": f"{host}:{port}", "connection": "close"}
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = f"{method} {target} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        with trio.fail_after(PATIENCE_SECONDS):
            async with await dial(host, port) as stream:
                await stream.send_all(f"{head}\r\n".encode("latin-1"))
                data = b"".join([part async for part in stream])
        first, *rest = data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        fields = dict(line.split(": ", 1) for line in rest)
        return Answer(int(first.split()[1]), fields, data.partition(b"\r\n\r\n")[2])


@asynccontextmanager
async def site(settings: Config = PEOPLE) -> AsyncGenerator[Site, None]:
    async with trio.open_nursery() as nursery:
        running: Running = await nursery.start(server.run, config.check(settings), RealWorld())
        yield Site(running)
        nursery.cancel_scope.cancel()


# --- files


async def test_every_file_has_its_type_and_is_whole() -> None:
    async with site() as page:
        for name in FILES:
            answer = await page.ask(f"/{name}")
            assert answer.status == 200
            assert answer.body == (WEB / name).read_bytes()
            assert answer.headers["content-length"] == str(len(answer.body))
            assert answer.headers["content-type"] == TYPES[Path(name).suffix]
        assert (await page.ask("/")).body == (WEB / "index.html").read_bytes()


async def test_a_head_is_a_get_without_a_body() -> None:
    async with site() as page:
        head, get = await page.ask("/style.css", "HEAD"), await page.ask("/style.css")
        assert (head.status, head.body) == (200, b"")
        del head.headers["date"], get.headers["date"]
        assert head.headers == get.headers


@pytest.mark.parametrize(
    "target",
    [
        "/nothing.js",
        "/sample.toml",
        "/../sample.toml",
        "/web/../../sample.toml",
        "/%2e%2e/sample.toml",
        "/..%2fsample.toml",
        "//etc/passwd",
        "/style.css/",
        "/style.css%00.js",
        "/__init__.py",
        f"/{'a' * 5000}",
    ],
)
async def test_what_is_not_there_is_not_found(target: str) -> None:
    async with site() as page:
        answer = await page.ask(target)
        assert (answer.status, answer.body) == (404, b"Not Found")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_it_is_there_to_be_read(method: str) -> None:
    async with site() as page:
        answer = await page.ask("/style.css", method)
        assert answer.status == 405
        assert {"GET", "HEAD"} == set(answer.headers["allow"].split(", "))


async def test_a_file_that_has_not_changed_is_not_sent_again() -> None:
    async with site() as page:
        first = await page.ask("/style.css")
        assert first.headers["cache-control"] == "no-cache"
        tag = first.headers["etag"]
        again = await page.ask("/style.css", if_none_match=tag)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
        assert (await page.ask("/main.js", if_none_match=tag)).status == 200


# --- security


async def test_the_policy_lets_the_page_speak_to_this_service_alone() -> None:
    async with site() as page:
        front = page.running.urls["websocket"].rstrip("/")
        headers = (await page.ask("/")).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert policy["img-src"] == "'self' data:"
        assert policy["connect-src"] == f"'self' {front}"
        assert policy["frame-ancestors"] == "'self' http://127.0.0.1:* http://localhost:*"
        assert policy["base-uri"] == policy["form-action"] == "'none'"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers


def test_the_files_name_only_files_that_are_there() -> None:
    named = {
        name
        for file in FILES
        for name in re.findall(
            r"""(?:from|href=|src=)\s*"(?:\./)?([\w.-]+\.\w+)\"""", (WEB / file).read_text("utf-8")
        )
    }
    assert named == set(FILES) - {"index.html"}


def test_the_files_keep_to_the_policy() -> None:
    html = (WEB / "index.html").read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", html)
    for name in FILES:
        text = (WEB / name).read_text("utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text
        )
        assert not re.search(r"https?://(?!www\.w3\.org/)", text), name


async def connects(page: Site, origin: str | None, front: str = "websocket") -> bool:
    """Say whether a page of this origin gets a WebSocket."""
    url = urlsplit(page.running.urls[front])
    lines = [
        "GET / HTTP/1.1",
        f"Host: {url.netloc}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        *([] if origin is None else [f"Origin: {origin}"]),
    ]
    with trio.fail_after(PATIENCE_SECONDS):
        async with await dial(url.hostname or "", url.port or 0) as stream:
            await stream.send_all("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
            data = bytearray()
            while b"\r\n" not in data:
                data += await stream.receive_some()
    status = int(data.split()[1])
    assert status in (101, 403)
    return status == 101


async def test_the_front_knows_the_page_and_refuses_foreign_ones() -> None:
    settings = attrs.evolve(PEOPLE, origins=("https://chat.example.net",))
    async with site(settings) as page:
        port = page.address[1]
        for origin in (f"http://127.0.0.1:{port}", f"http://localhost:{port}"):
            assert await connects(page, origin)
        assert await connects(page, "https://chat.example.net")
        for origin in (f"http://evil.example:{port}", "http://127.0.0.1:1", "null"):
            assert not await connects(page, origin)


async def test_the_page_cannot_rule_the_service() -> None:
    async with site() as page:
        assert not await connects(page, f"http://127.0.0.1:{page.address[1]}", "control")
        assert await connects(page, None, "control")


async def test_a_foreign_name_for_this_machine_is_refused() -> None:
    settings = attrs.evolve(PEOPLE, origins=("https://chat.example.net",))
    async with site(settings) as page:
        for host in ("evil.example:4080", "127.0.0.1.evil.example", "a;b", ""):
            assert (await page.ask("/settings.json", host=host)).status == 421
            assert (await page.ask("/", host=host)).status == 421
        for host in ("localhost", "LOCALHOST:99", "[::1]:4080", "chat.example.net"):
            assert (await page.ask("/settings.json", host=host)).status == 200


# --- what the page is told


async def test_the_page_is_told_where_the_front_is_and_nothing_else() -> None:
    async with site() as page:
        answer = await page.ask("/settings.json")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/json"
        url = page.running.urls["websocket"]
        assert json.loads(answer.body) == {"websocket": url, "accounts": [], "bots": []}


async def test_accounts_are_shown_where_the_configuration_says_so() -> None:
    settings = attrs.evolve(PEOPLE, web=WebConfig(FREE, show_accounts=True))
    async with site(settings) as page:
        told = json.loads((await page.ask("/settings.json")).body)
        assert told["accounts"] == [
            {"address": "Romeo", "name": "Romeo Montague", "password": "romeo-pw"}
        ]
        assert told["bots"] == [{"address": "echo", "kind": "echo"}]


async def test_a_front_that_listens_anywhere_is_where_the_page_is() -> None:
    anywhere = attrs.evolve(PEOPLE, fronts={"websocket": "0.0.0.0:0"}, web=WebConfig("0.0.0.0:0"))
    async with site(anywhere) as page:
        port = page.running.urls["websocket"].rstrip("/").rpartition(":")[2]
        answer = await page.ask("/settings.json", host="emu.example.net:4080")
        front = f"ws://emu.example.net:{port}"
        assert json.loads(answer.body)["websocket"] == f"{front}/"
        assert f"connect-src 'self' {front};" in answer.headers["content-security-policy"]


async def test_behind_a_proxy_the_page_is_told_the_proxys_address() -> None:
    behind = attrs.evolve(PEOPLE, web=WebConfig(FREE, websocket="wss://emu.example.net/front"))
    async with site(behind) as page:
        answer = await page.ask("/settings.json")
        assert json.loads(answer.body)["websocket"] == "wss://emu.example.net/front"
        policy = answer.headers["content-security-policy"]
        assert "connect-src 'self' wss://emu.example.net;" in policy


# --- its configuration


@pytest.mark.parametrize(
    ("web", "about"),
    [
        (WebConfig("4080"), "web.listen"),
        (WebConfig(FREE, websocket="http://127.0.0.1/"), "web.websocket"),
        (WebConfig(FREE, websocket="ws://a.example; script-src *"), "web.websocket"),
    ],
)
def test_a_bad_setting_is_named(web: WebConfig, about: str) -> None:
    with pytest.raises(ConfigError, match=about):
        config.check(attrs.evolve(PEOPLE, web=web))


async def test_a_port_that_is_taken_is_named() -> None:
    async with site() as page:
        taken = f"127.0.0.1:{page.address[1]}"
        second = attrs.evolve(PEOPLE, web=WebConfig(taken))
        with pytest.RaisesGroup(pytest.RaisesExc(CannotListen, match=f"web on {taken}")):
            await server.run(second, RealWorld())
