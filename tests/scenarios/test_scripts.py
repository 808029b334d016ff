"""Every script there is: as names, nicks, groups, status and text, both ways.

What a name becomes as a JID is told in `test_names.py`; here it is whatever it is, and holds.
"""

import pytest
from trio.testing import MockClock

from legacy_emu.control import Control
from legacy_emu.events import Look, Show
from tests.fakes.stage import ORCHARD, ROMEO, G, Stage
from tests.scenarios.words import form, iq, message, presence, register, result, said

SCRIPTS = {
    "arabic": "\u0641\u0627\u0637\u0645\u0629",
    "arabic with marks": "\u0645\u064f\u062d\u064e\u0645\u0651\u064e\u062f",
    "hebrew": "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd",
    "syriac": "\u072b\u0720\u0721\u0710",
    "thai": "\u0e01\u0e34\u0e48\u0e07\u0e41\u0e01\u0e49\u0e27",
    "devanagari": "\u0915\u094d\u0937\u092e\u093e",
    "han": "\u7f57\u5bc6\u6b27",
    "han beyond the basic plane": "\U00020000\U0002a6d6",
    "kana": "\u30ed\u30df\u30aa\u3068\u3058\u3085\u308a",
    "half-width kana": "\uff9b\uff90\uff75",
    "hangul": "\ub85c\ubbf8\uc624",
    "hangul in letters": "\u1105\u1169\u1106\u1175",
    "vietnamese": "Nguy\u1ec5n",
    "combining marks": "e\u0301\u0323o\u0308",
    "greek final sigma": "\u03ba\u03b1\u03bb\u03cc\u03c2",
    "sharp s": "Stra\u00dfe",
    "ligature": "\ufb01ona",
    "turkish": "\u0130stanbul",
    "cherokee": "\u13a3\uab70",
    "georgian": "\u1c90\u10d1",
    "right-to-left mark": "\u05e8\u05d5\u05de\u05d0\u05d5\u200f",
    "mixed directions": "ro\u05de\u05d0",
    "arabic digits": "\u0661\u06612",
    "zero width": "a\u200db\u200cc",
    "soft hyphen": "so\u00adft",
    "emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "a flag": "\U0001f1ee\U0001f1f9",
    "private use": "\ue000\U000f0000",
    "nowhere": "a\ufffeb\uffff",
    "unassigned": "\u0378x",
}
NICK = "http://jabber.org/protocol/nick"


def seen(text: str) -> str:
    """Return what XML makes of a text: two of these characters cannot stand in it."""
    return text.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")


@pytest.mark.conformance(
    "CORE-07", "CORE-08", "GW-ADDR-04", "AMB-16", "AMB-17", "GW-IN-04", "GW-IN-06",
    "GW-SEND-01", "LU-SEND-01", "LU-ADD-01", "GW-PROMPT-03",
)  # fmt: skip
@pytest.mark.parametrize("word", SCRIPTS.values(), ids=SCRIPTS)
@pytest.mark.needs("any names")
async def test_a_contact_in_this_script(
    autojump_clock: MockClock, play: Stage, legacy: Control, word: str
) -> None:
    legacy.create_account(word, word, word)
    await play.register()
    await play.sign_on()
    # He asks; his nick is in his script, and his reason too.
    legacy.set_presence(word, Show.AWAY, word)
    legacy.add_contact(word, "Romeo", word, (word,), word)
    asked = await play.expect(
        presence("*", ROMEO, "subscribe", f"<status>*</status><nick xmlns='{NICK}'>*</nick>")
    )
    assert [child.text for child in asked] == [seen(word), seen(word)]
    jid = str(asked.get("from"))
    # He is the one the prompt leads to, and may be asked in turn.
    if seen(word) == word:
        await play.send(
            iq("set", f"<query xmlns='jabber:iq:gateway'><prompt>{word}</prompt></query>")
        )
        await play.expect(result(f"<query xmlns='jabber:iq:gateway'><jid>{jid}</jid></query>"))
    await play.send(
        presence(ROMEO, jid, "subscribed"),
        presence(ROMEO, jid, "subscribe", f"<status>{seen(word)}</status>"),
        presence(ORCHARD, G, inside=f"<show>dnd</show><status>{seen(word)}</status>"),
    )
    await play.nothing_more()
    assert legacy.look("Romeo", seen_by=word) == Look(Show.DND, seen(word))
    [added] = legacy.arrived(account="Romeo", kind="add")
    assert added.fields["reason"] == seen(word)
    legacy.grant(word, "Romeo")
    await play.expect(presence(jid, ROMEO, "subscribed"))
    shown = await play.expect(presence(jid, ROMEO, inside="<show>away</show><status>*</status>"))
    assert shown[1].text == seen(word)
    # They talk.
    legacy.send_message(word, "Romeo", f" {word} ")
    came = await play.expect(said("*", from_=jid))
    assert came[0].text == seen(f" {word} ")
    await play.send(message(f" {seen(word)} ", to=jid))
    await play.nothing_more()
    [sent] = legacy.arrived(account="Romeo", kind="message")
    assert (sent.fields["text"], sent.fields["refused"]) == (seen(f" {word} "), None)


@pytest.mark.conformance("GW-REG-02", "GW-REG-03", "GW-BIZ-01", "AMB-16", "GW-EDIT-01")
@pytest.mark.parametrize("script", ["arabic", "thai", "vietnamese", "sharp s", "emoji", "turkish"])
@pytest.mark.needs("any names")
async def test_an_account_in_this_script(
    autojump_clock: MockClock, play: Stage, legacy: Control, script: str
) -> None:
    word = SCRIPTS[script]
    legacy.create_account(word, word)
    legacy.befriend(word, "Juliet")
    await play.register(name=word, password=word)
    await play.sign_on()
    await play.send(message("Hi"))
    await play.nothing_more()
    assert len(legacy.arrived(account=word, kind="message")) == 1
    # The name of record, spelled as it is kept, is the same account still.
    [account] = play.gateway.store.accounts(G)
    await play.send(register(form(("username", account.address))))
    await play.expect(result(id_="r1"))
    await play.nothing_more()
    assert len(legacy.arrived(kind="sign_on")) == 1
