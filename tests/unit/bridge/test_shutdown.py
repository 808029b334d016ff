"""The daemon ends while something is stuck: whoever waits is told, and nothing is forgotten."""

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.bridge.sessions import SHUTDOWN_SECONDS
from gateway.errors import StoreError
from gateway.networks.base import MessageReceived
from tests.fakes.network import FakeNetwork
from tests.fakes.stage import JULIET, ORCHARD, ROMEO, G, Stage

ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"


async def signed_on(play: Stage) -> None:
    await play.register()
    await play.sign_on()
    await play.nothing_more()


async def never(call: Callable[[], Any]) -> Any:
    """Stand for a store that does not come back."""
    await trio.sleep_forever()


def message(id_: str, type_: str = "chat") -> str:
    return (
        f"<message type='{type_}' id='{id_}' from='{ORCHARD}' to='{JULIET}'>"
        "<body>Hi</body></message>"
    )


@pytest.mark.conformance("GW-LIFE-03", "CORE-03")
async def test_what_a_stuck_session_has_not_handled_is_answered_in_time(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await signed_on(play)
    monkeypatch.setattr(play.host, "run_blocking", never)
    await play.send(
        f"<presence type='unsubscribed' from='{ROMEO}' to='mercutio@{G}'/>",  # asks the store
        message("m1"),
        message("h1", "headline"),
        f"<iq type='get' id='i1' from='{ORCHARD}' to='{G}'><ping xmlns='urn:xmpp:ping'/></iq>",
    )
    await trio.sleep(1)
    play.link.check_nothing_came()
    before = trio.current_time()
    play.gateway.stop()
    words = f"<text xmlns='{ERRORS}' xml:lang='en'>*</text>"
    failed = (
        f"<error type='wait' code='500'><internal-server-error xmlns='{ERRORS}'/>{words}</error>"
    )
    told = await play.expect(
        f"<message type='error' id='m1' from='{JULIET}' to='{ORCHARD}'><body>Hi</body>{failed}"
        "</message>"
    )
    assert "shutting down" in told.findtext(f".//{{{ERRORS}}}text", "")
    await play.expect(f"<iq type='error' id='i1' from='{G}' to='{ORCHARD}'>{failed}</iq>")
    assert trio.current_time() - before < SHUTDOWN_SECONDS + 1
    await play.expect(f"<presence type='unavailable' from='{G}' to='{ROMEO}'/>")
    await play.link.ended.wait()
    assert "did not sign off in time" in caplog.text


@pytest.mark.parametrize("how", ["it fails", "it hangs"])
async def test_a_journal_that_fails_at_the_end_holds_up_nothing(
    autojump_clock: MockClock,
    play: Stage,
    net: type[FakeNetwork],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    how: str,
) -> None:
    await signed_on(play)
    play.link.answer_pings = False
    [client] = net.clients

    def failing(*_: object) -> list[int]:
        raise StoreError("the disk is full")

    if how == "it fails":
        monkeypatch.setattr(play.gateway.store, "commit_journal", failing)
    else:
        monkeypatch.setattr(play.host, "run_blocking", never)
    client.tell(MessageReceived(conversation="juliet", sender="juliet", text="Hi", token=1))
    await play.expect(
        f"<message type='chat' id='*' from='{JULIET}' to='{ROMEO}'><body>Hi</body></message>"
    )
    play.gateway.stop()
    await play.expect(f"<presence type='unavailable' from='{G}' to='{ROMEO}'/>")
    await play.link.ended.wait()
    await trio.sleep(10)
    end = {"it fails": "at the end", "it hangs": "within 5 s"}
    assert f"the journal could not be written {end[how]}" in caplog.text
    assert client.acknowledged == []  # the network will say it again
