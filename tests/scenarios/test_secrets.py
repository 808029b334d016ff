"""What must be read nowhere: passwords, and what people say to each other (GW-SEC-03, -04)."""

import logging
from pathlib import Path

import pytest
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Refusal
from legacy_emu.faults import Kind
from tests.fakes.stage import ORCHARD, ROMEO, G, Stage
from tests.scenarios.words import (
    CONFLICT,
    NOT_ACCEPTABLE,
    TIMEOUT,
    bounced,
    error,
    form,
    login,
    message,
    presence,
    refused,
    register,
    result,
    said,
)

FIRST, SECOND, WRONG = "pw-montague-1", "pw-montague-2", "pw-capulet-3"
OURS, THEIRS, HELD = "words-of-romeo", "words-of-juliet", "words-nobody-hears"


@pytest.mark.conformance("GW-SEC-03", "GW-SEC-04", "CORE-11", "REG7-09")
async def test_secrets_are_in_no_log_no_error_and_no_file(
    autojump_clock: MockClock,
    play: Stage,
    legacy: Control,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    legacy.set_password("Romeo", FIRST)
    await play.send(register(login("romeo", WRONG)))
    await play.expect(refused(NOT_ACCEPTABLE, id_="r1"))
    await play.register(password=FIRST)
    await play.sign_on()
    await play.send(message(OURS))
    legacy.send_message("Juliet", "Romeo", THEIRS)
    await play.expect(said(THEIRS))
    legacy.set_password("Romeo", SECOND)
    await play.send(register(form(("username", "romeo"), ("password", SECOND)), id_="r2"))
    await play.expect(result(id_="r2"))
    await play.expect(presence(G, ROMEO))
    await play.nothing_more()

    legacy.set_fault(Kind.LOSE_OUTCOMES)  # what is not answered for goes to the journal
    await play.send(message(HELD, id_="m2"))
    await play.nothing_more()
    assert play.gateway.store.journal(G)
    assert b"SQLite" in read(tmp_path)
    for secret in (FIRST, SECOND, WRONG, OURS, THEIRS, HELD):
        assert secret.encode() not in read(tmp_path), secret
    legacy.kick("Romeo", Refusal.ELSEWHERE, "no more")
    await play.expect(bounced(TIMEOUT, HELD, id_="m2"))
    await play.expect(presence(G, ORCHARD, "error", error(*CONFLICT)))
    await play.expect(presence(G, ROMEO, "unavailable"))
    await play.expect(said("*", from_=G))
    await play.nothing_more()
    assert f"registered as {play.jid(f'romeo@{G}').local}" in caplog.text
    assert "queued" in caplog.text  # the wire is in the log, as far as it may be
    for secret in (FIRST, SECOND, WRONG, OURS, THEIRS, HELD):
        assert secret not in caplog.text, secret
    for session in play.gateway.sessions:
        assert SECOND not in repr(session.user)


def read(folder: Path) -> bytes:
    """Return all that is in the files of the store."""
    return b"".join(file.read_bytes() for file in folder.glob("balcony.db*"))
