"""The emulator's page in a browser: people who are legacy users."""

import re
import sys
import threading
import unicodedata
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import attrs
import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browser import (
    PHONE,
    Emulator,
    Visit,
    Visitor,
    chromium,
    emulator,
    sample,
    visitors,
)

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@pytest.fixture(scope="module")
def browser() -> Generator[Browser, None, None]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def emu() -> Generator[Emulator, None, None]:
    with emulator() as emulated:
        yield emulated


@pytest.fixture
def visit(browser: Browser, emu: Emulator) -> Generator[Visit, None, None]:
    with visitors(browser, emu) as make:
        yield make


# --- talking


def test_two_people_talk(emu: Emulator, visit: Visit) -> None:
    romeo, juliet = visit(), visit()
    romeo.sign_on("Romeo")
    expect(romeo.buddy("Juliet Capulet, Offline")).to_be_visible()
    juliet.sign_on("Juliet")
    expect(romeo.buddy("Juliet Capulet, Online")).to_be_visible()

    to_juliet = romeo.open("Juliet Capulet")
    said = to_juliet.say("Lady, by yonder blessed moon I swear")
    expect(said).to_contain_text("Delivered")
    unread = juliet.buddy("Romeo Montague, Online, 1 unread")
    expect(unread).to_be_visible()
    expect(juliet.page).to_have_title(re.compile(r"^\(1\) "))

    unread.click()
    to_romeo = juliet.chat("Romeo Montague")
    expect(to_romeo.line("Lady, by yonder blessed moon I swear")).to_be_visible()
    expect(juliet.buddy("Romeo Montague")).not_to_contain_text("1")
    expect(said).to_contain_text("Read")
    expect(said.locator("time")).to_have_text(re.compile(r"^\d?\d:\d\d$"))

    to_romeo.input.press_sequentially("O, swear not")
    expect(to_juliet.typing).to_have_text("Juliet Capulet is typing…")
    to_romeo.input.press("Shift+Enter")
    to_romeo.input.press_sequentially("by the moon")
    to_romeo.input.press("Enter")
    expect(to_juliet.line("O, swear not\nby the moon")).to_be_visible()
    expect(to_juliet.typing).to_have_text("")

    to_juliet.input.fill("What")
    expect(to_romeo.typing).to_have_text("Romeo Montague is typing…")
    to_juliet.input.fill("")
    expect(to_romeo.typing).to_have_text("")


def test_presence_is_shown_with_its_text(emu: Emulator, visit: Visit) -> None:
    romeo, juliet = visit(), visit()
    romeo.sign_on("Romeo")
    juliet.sign_on("Juliet")
    status = juliet.page.get_by_role("combobox", name="Status")
    for value, word in (
        ("away", "Away"),
        ("xa", "Not available"),
        ("dnd", "Do not disturb"),
        ("chat", "Free to chat"),
        ("invisible", "Offline"),
        ("online", "Online"),
    ):
        status.select_option(value)
        expect(romeo.buddy(f"Juliet Capulet, {word}")).to_be_visible()
    text = juliet.page.get_by_role("textbox", name="Status text")
    text.fill("on the balcony")
    text.press("Enter")
    expect(romeo.buddy("Juliet Capulet, Online: on the balcony")).to_be_visible()
    juliet.page.get_by_role("button", name="Sign off").click()
    expect(juliet.page.get_by_role("button", name="Sign on", exact=True)).to_be_visible()
    expect(romeo.buddy("Juliet Capulet, Offline")).to_be_visible()


def test_what_was_sent_meanwhile_says_so(emu: Emulator, visit: Visit) -> None:
    emu.act("send_message", sender="benvolio", to="romeo", text="Good morrow, cousin.")
    romeo = visit()
    romeo.sign_on("Romeo")
    benvolio = romeo.open("Benvolio Montague")
    expect(benvolio.line("Good morrow, cousin.")).to_contain_text("sent while you were away")
    waits = benvolio.say("Is the day so young?")
    expect(waits).to_contain_text("Accepted by the service")
    emu.act("sign_on", address="benvolio")
    expect(waits).to_contain_text("Delivered")
    live = emu.act("send_message", sender="benvolio", to="romeo", text="But new struck nine.")
    expect(benvolio.line("But new struck nine.")).not_to_contain_text("away")
    emu.act(
        "send_message", sender="benvolio", to="romeo", text="But new struck ten.", replaces=live
    )
    expect(benvolio.line("But new struck ten.")).to_contain_text("corrected")
    expect(benvolio.log.locator(".line")).to_have_count(3)
    emu.act("nudge", sender="benvolio", to="romeo")
    expect(benvolio.log).to_contain_text("Benvolio Montague nudges you.")
    emu.act("notice", address="romeo", text="Down at ten for <b>repairs</b>.")
    expect(romeo.cards).to_contain_text("The service says: Down at ten for <b>repairs</b>.")
    romeo.cards.get_by_role("button").click()
    expect(romeo.cards).to_be_hidden()
    assert emu.act("kept", address="romeo") == ()


def test_a_message_that_fails_says_why_and_can_be_sent_again(emu: Emulator, visit: Visit) -> None:
    romeo = visit()
    emu.act("set_policy", offline_messages=False)
    romeo.sign_on("Romeo")
    chat = romeo.open("Juliet Capulet")
    said = chat.say("Is she gone?")
    expect(said).to_contain_text("Not sent: Juliet is offline, and nothing is kept")
    emu.act("sign_on", address="juliet")
    said.get_by_role("button", name="Try again").click()
    expect(said).to_contain_text("Delivered")
    expect(chat.log.locator(".line")).to_have_count(1)
    chat.say("O" * 300_000)
    expect(chat.log).to_contain_text("Not sent: this is longer than a frame may be")
    expect(chat.log).to_contain_text("show 296,000 more characters")
    expect(romeo.link).to_have_text("Connected")


# --- contacts


def test_a_request_is_allowed_or_refused(emu: Emulator, visit: Visit) -> None:
    emu.act("create_account", address="Rosaline", password="pw", name="Fair Rosaline")
    emu.act("add_contact", address="rosaline", contact="romeo", reason="You forget me!")
    romeo, tybalt = visit(), visit()
    romeo.sign_on("Romeo")
    expect(romeo.cards).to_contain_text("Fair Rosaline (Rosaline) asks to see when you are here.")
    expect(romeo.cards).to_contain_text("You forget me!")
    romeo.cards.get_by_role("button", name="Refuse").click()
    expect(romeo.cards).to_be_hidden()
    (answer,) = [
        each for each in emu.act("arrived", kind="deny") if each.fields["contact"] == "rosaline"
    ]
    assert answer.account == "romeo"

    tybalt.sign_on("Tybalt")
    tybalt.page.get_by_role("button", name="Add buddy").click()
    dialog = tybalt.page.get_by_role("dialog", name="Add a buddy")
    dialog.get_by_label("Screen name").fill("Rosalind")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.get_by_role("alert")).to_have_text("there is nobody called 'Rosalind' here")
    dialog.get_by_label("Screen name").fill("ROMEO")
    dialog.get_by_label("New group").fill("Enemies")
    dialog.get_by_label("A word to go with the request").fill("A word with one of you.")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog).to_be_hidden()
    expect(tybalt.buddy("Romeo Montague, Has not answered yet")).to_be_visible()
    expect(tybalt.page.get_by_role("treeitem", name="Enemies, 0 of 1 here")).to_be_visible()

    expect(romeo.cards).to_contain_text("A word with one of you.")
    romeo.cards.get_by_role("button", name="Allow").click()
    expect(tybalt.buddy("Romeo Montague, Online")).to_be_visible()
    expect(tybalt.cards).to_contain_text("Romeo Montague lets you see when they are here.")
    # He was put on the list of who allowed it, too: that is a request of its own.
    expect(romeo.buddy("Tybalt Capulet, Has not answered yet")).to_be_visible()
    tybalt.cards.get_by_role("button", name="Refuse").click()
    expect(romeo.cards).to_contain_text("Tybalt Capulet refused your request.")


def test_a_buddy_is_renamed_regrouped_blocked_and_removed(emu: Emulator, visit: Visit) -> None:
    romeo = visit()
    romeo.sign_on("Romeo")
    emu.act("sign_on", address="mercutio")
    romeo.buddy("Mercutio").click(button="right")
    romeo.choose("Rename and regroup…")
    dialog = romeo.page.get_by_role("dialog", name="Mercutio on your list")
    dialog.get_by_label("Shown as").fill("Queen Mab")
    dialog.get_by_role("checkbox", name="Friends").uncheck()
    dialog.get_by_role("checkbox", name="Helpers").check()
    dialog.get_by_label("New group").fill("Dreamers")
    dialog.get_by_role("button", name="Save").click()
    expect(romeo.buddy("Queen Mab, Online")).to_have_count(2)
    expect(romeo.page.get_by_role("treeitem", name="Friends, 0 of 1 here")).to_be_visible()
    (contact,) = [one for one in emu.act("contacts", address="romeo") if one.address == "Mercutio"]
    assert (contact.name, contact.groups) == ("Queen Mab", ("Helpers", "Dreamers"))

    chat = romeo.chat("Queen Mab")
    romeo.buddy("Queen Mab").first.click()
    chat.window.get_by_role("button", name="More about").click()
    romeo.choose("Block")
    expect(romeo.buddy("Queen Mab, Blocked").first).to_be_visible()
    chat.window.get_by_role("button", name="More about").click()
    romeo.choose("Unblock")
    expect(romeo.buddy("Queen Mab, Online").first).to_be_visible()
    chat.window.get_by_role("button", name="Close the chat").click()

    romeo.buddy("Queen Mab").first.press("Delete")
    question = romeo.page.get_by_role("dialog")
    expect(question).to_contain_text("Remove Queen Mab from your list?")
    question.get_by_role("button", name="Cancel").click()
    expect(romeo.buddy("Queen Mab")).to_have_count(2)
    romeo.buddy("Queen Mab").first.press("Delete")
    question.get_by_role("button", name="Remove").click()
    expect(romeo.buddy("Queen Mab")).to_have_count(0)
    emu.act("remove_contact", address="benvolio", contact="romeo")
    expect(romeo.cards).to_contain_text("Benvolio Montague has taken you off their list.")


# --- signing on, and staying


def test_a_refusal_says_what_is_wrong(emu: Emulator, visit: Visit) -> None:
    somebody = visit()
    somebody.visit()
    somebody.fill_in("Romeo", "wrong")
    expect(somebody.word).to_have_text("That is not this account's password.")
    expect(somebody.focused).to_have_attribute("name", "password")
    somebody.fill_in("Rosalind", "x")
    expect(somebody.word).to_have_text("There is no account of this name.")
    expect(somebody.focused).to_have_attribute("name", "account")
    somebody.fill_in("", "x")
    expect(somebody.word).to_have_text("Whose screen name?")
    refuse = {"kind": "refuse", "account": "romeo", "times": 1}
    emu.act("set_fault", **refuse, reason="too_many_attempts", retry_after=30.0)
    somebody.fill_in("Romeo", "romeo-pw")
    expect(somebody.word).to_have_text("Too many attempts. Wait a little. Try again in 30 seconds.")
    emu.act("set_fault", **refuse, reason="suspended", text="until <b>Lent</b> is over")
    somebody.fill_in("Romeo", "romeo-pw")
    expect(somebody.word).to_have_text(
        "This account is suspended. It says: until <b>Lent</b> is over"
    )
    emu.act("set_fault", kind="drop", moment="sign_on", times=1)
    somebody.fill_in("Romeo", "romeo-pw")
    expect(somebody.word).to_have_text("The service does not answer. Is it running?")
    somebody.fill_in("Romeo", "romeo-pw")
    expect(somebody.link).to_have_text("Connected")


def test_who_is_lost_comes_back_and_keeps_all(emu: Emulator, visit: Visit) -> None:
    romeo, juliet = visit(), visit()
    romeo.sign_on("Romeo")
    juliet.sign_on("Juliet")
    chat = romeo.open("Juliet Capulet")
    said = chat.say("Good night, good night!")
    expect(said).to_contain_text("Delivered")
    romeo.page.get_by_role("combobox", name="Status").select_option("away")
    expect(juliet.buddy("Romeo Montague, Away")).to_be_visible()

    # Lost between a message and its answer: nobody knows.
    emu.act("set_fault", kind="lose_outcomes", account="romeo")
    unsure = chat.say("Parting is such sweet sorrow")
    expect(juliet.buddy("Romeo Montague, Away, 2 unread")).to_be_visible()
    emu.act("clear_faults")
    emu.act("cut", address="romeo")
    expect(unsure).to_contain_text("The connection was lost; it may have arrived.")
    expect(said).to_be_visible()
    expect(romeo.link).to_have_text("Connected")
    expect(juliet.buddy("Romeo Montague, Away")).to_be_visible()
    expect(romeo.buddy("Juliet Capulet, Online")).to_be_visible()

    # Ended by the service, with a time to wait.
    chat.input.fill("That I shall say good night")
    emu.act("kick", address="romeo", text="back in a minute", retry_after=60.0)
    expect(romeo.link).to_have_text(
        re.compile(r"^Again in \d+ s · the service says: back in a minute$")
    )
    chat.input.press("Enter")
    expect(romeo.page.get_by_role("alert").filter(has_text="not connected")).to_be_visible()
    expect(chat.input).to_have_value("That I shall say good night")
    romeo.page.get_by_role("button", name="Try now").click()
    expect(romeo.link).to_have_text("Connected")
    chat.input.press("Enter")
    expect(chat.line("That I shall say good night")).to_contain_text("Delivered")
    expect(chat.log.locator(".line")).to_have_count(3)


def test_who_signs_on_elsewhere_is_not_fought_with(emu: Emulator, visit: Visit) -> None:
    here, there = visit(), visit()
    here.sign_on("Romeo")
    here.open("Juliet Capulet").say("Wherefore?")
    there.sign_on("Romeo")
    expect(here.word).to_have_text("You have signed on somewhere else.")
    expect(there.link).to_have_text("Connected")
    here.fill_in("Romeo", "romeo-pw")
    expect(here.chat("Juliet Capulet").line("Wherefore?")).to_be_visible()
    expect(there.word).to_have_text("You have signed on somewhere else.")


def test_a_fragment_signs_on_and_does_not_stay(emu: Emulator, visit: Visit) -> None:
    juliet = visit()
    juliet.visit("#account=juliet&password=juliet-pw")
    expect(juliet.link).to_have_text("Connected")
    assert juliet.page.url == emu.page
    expect(juliet.focused).to_have_accessible_name(re.compile("^Friar Laurence"))
    juliet.visit("?")
    juliet.visit("#account=juliet&password=juliet-pw&with=romeo")
    expect(juliet.chat("Romeo Montague").input).to_be_focused()
    emu.act("set_presence", address="juliet", show="offline")
    expect(juliet.page.get_by_role("combobox", name="Status")).to_have_value("invisible")
    juliet.visit("?account=Capulet+Nurse")
    expect(juliet.page.get_by_label("Screen name").first).to_have_value("Capulet Nurse")
    expect(juliet.focused).to_have_attribute("name", "password")


def test_a_stranger_sees_who_he_may_be(emu: Emulator, visit: Visit) -> None:
    stranger = visit()
    stranger.visit()
    samples = stranger.page.get_by_role("region", name="Or be one of these")
    expect(samples.get_by_role("button")).to_have_count(8)
    expect(samples).to_contain_text("Echo: a program that says back what it hears.")
    samples.get_by_role("button", name="Mercutio mercutio-pw").click()
    expect(stranger.link).to_have_text("Connected")


def test_nobody_is_shown_where_the_configuration_does_not_say_so(browser: Browser) -> None:
    settings = sample()
    hidden = attrs.evolve(settings, web=attrs.evolve(settings.web, show_accounts=False))
    with emulator(hidden) as emulated, visitors(browser, emulated) as visit:
        stranger = visit()
        stranger.visit()
        stranger.fill_in("Romeo", "no")
        expect(stranger.word).to_have_text("That is not this account's password.")
        expect(stranger.page.locator("#samples")).to_be_hidden()


# --- how it is used, and looked at


def test_the_keyboard_is_enough(emu: Emulator, visit: Visit) -> None:
    romeo = visit()
    emu.act("set_presence", address="juliet", show="online")
    romeo.visit()
    press = romeo.page.keyboard.press
    write = romeo.page.keyboard.type
    expect(romeo.focused).to_have_attribute("name", "account")
    write("romeo")
    press("Tab")
    write("romeo-pw")
    press("Enter")
    expect(romeo.focused).to_have_accessible_name(re.compile("^Juliet Capulet, Online"))
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert romeo.page.evaluate(outline) == "solid"

    press("ArrowUp")
    expect(romeo.focused).to_have_accessible_name("Capulets, 1 of 2 here")
    press("ArrowLeft")
    expect(romeo.buddy("Juliet Capulet")).to_have_count(0)
    press("ArrowRight")
    press("ArrowRight")
    expect(romeo.focused).to_have_accessible_name(re.compile("^Juliet"))
    press("End")
    expect(romeo.focused).to_have_accessible_name(re.compile("^Friar Laurence"))
    press("Home")
    write("the ")
    expect(romeo.focused).to_have_accessible_name(re.compile("^The Echo"))
    press("Enter")
    write("Hello")
    press("Enter")
    expect(romeo.chat("The Echo").line("Hello")).to_have_count(2)

    press("Escape")
    expect(romeo.chat("The Echo").window).to_have_count(0)
    expect(romeo.focused).to_have_accessible_name(re.compile("^The Echo"))
    press("Shift+F10")
    expect(romeo.focused).to_have_text("Chat")
    press("ArrowDown")
    expect(romeo.focused).to_have_text("Nudge")
    press("Escape")
    expect(romeo.focused).to_have_accessible_name(re.compile("^The Echo"))
    press("F2")
    expect(romeo.focused).to_have_attribute("name", "name")
    press("ControlOrMeta+a")
    write("Nymph")
    press("Enter")
    expect(romeo.buddy("Nymph")).to_be_visible()
    expect(romeo.page.get_by_role("dialog")).to_have_count(0)
    expect(romeo.focused).to_have_accessible_name(re.compile("^Nymph"))

    emu.act("add_contact", address="tybalt", contact="romeo")
    expect(romeo.cards).to_be_visible()
    for _ in range(2):  # the box, and Refuse
        press("Tab")
    press("Enter")
    expect(romeo.cards).to_be_hidden()
    expect(romeo.focused).to_have_accessible_name(re.compile("^Nymph"))
    for _ in range(3):
        press("Shift+Tab")
    expect(romeo.focused).to_have_text("Sign off")
    press("Enter")
    expect(romeo.focused).to_have_attribute("name", "account")


def test_a_phone_shows_the_list_or_a_chat(emu: Emulator, visit: Visit) -> None:
    romeo = visit(viewport=PHONE, has_touch=True, is_mobile=True)
    emu.act("set_presence", address="juliet", show="away", text="on the balcony " * 20)
    romeo.sign_on("Romeo")
    assert romeo.sideways() == 0
    expect(romeo.page.get_by_role("main", name="Chats")).to_be_hidden()
    romeo.buddy("Juliet Capulet").tap()
    chat = romeo.chat("Juliet Capulet")
    expect(romeo.page.get_by_role("tree")).to_be_hidden()
    chat.say("What light through yonder window breaks? " * 10)
    assert romeo.sideways() == 0
    emu.act("send_message", sender="mercutio", to="romeo", text="Romeo! humours! madman!")
    back = chat.window.get_by_role("button", name="Back to the list")
    expect(back).to_contain_text("1")
    back.tap()
    expect(romeo.buddy("Mercutio, Offline, 1 unread")).to_be_visible()
    expect(chat.window).to_be_hidden()
    romeo.buddy("Mercutio").tap()
    expect(romeo.chat("Mercutio").line("madman")).to_be_visible()
    romeo.page.go_back()
    expect(romeo.page.get_by_role("tree")).to_be_visible()
    romeo.page.get_by_role("button", name="Frames", exact=True).tap()
    assert romeo.sideways() == 0
    romeo.page.get_by_role("button", name="Close frames").tap()
    expect(romeo.link).to_be_visible()


HOSTILE = [
    "<img src=x onerror=alert(1)><script>alert(2)</script>",
    "\u202eevil\u2066 \u200f\u200e",
    "Z" + "\u0301\u0322\u0489" * 300,
    "W" * 600,
    "\n\n\t line \u2028 breaks",
    "العربية עברית ไทย 中文 👩‍👩‍👧‍👦",
    "{{7*7}} ${7*7} javascript:alert(3)",
]


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_names_and_texts_are_only_text(emu: Emulator, visit: Visit, size: str) -> None:
    romeo = visit(viewport=PHONE) if size == "phone" else visit()
    emu.act("sign_on", address="juliet")
    for number, text in enumerate(HOSTILE):
        emu.act("create_account", address=f"h{number}", password="x", name=text[:200])
        emu.act("befriend", first="romeo", second=f"h{number}", groups=(text[:600],))
        emu.act("set_presence", address=f"h{number}", show="away", text=text)
        emu.act("send_message", sender="juliet", to="romeo", text=text)
    emu.act("create_account", address="asker", password="x", name=HOSTILE[0])
    emu.act("add_contact", address="asker", contact="romeo", reason=HOSTILE[2])
    emu.act("notice", address="romeo", text=HOSTILE[3])
    romeo.sign_on("Romeo")
    emu.act("notice", address="romeo", text=HOSTILE[3])
    expect(romeo.page.locator(".buddy")).to_have_count(6 + len(HOSTILE))
    assert romeo.sideways() == 0
    rows = romeo.page.locator("[role=treeitem]").evaluate_all(
        "rows => rows.map(row => row.getBoundingClientRect().height)"
    )
    assert len(set(rows)) == 1
    for name in ("OK", "Refuse", "Allow"):
        button = romeo.cards.get_by_role("button", name=name)
        button.scroll_into_view_if_needed()
        expect(button).to_be_in_viewport(ratio=1)
    chat = romeo.open("Juliet Capulet")
    lines = chat.log.locator(".line .text")
    expect(lines).to_have_count(len(HOSTILE))
    # What cannot be said in a text node is taken as it is; line ends are all the browser unifies.
    assert lines.evaluate_all("all => all.map(one => one.textContent)") == HOSTILE
    word = lines.nth(HOSTILE.index("W" * 600))
    assert word.evaluate("one => one.scrollWidth - one.clientWidth") == 0
    assert romeo.sideways() == 0
    assert romeo.page.locator("img, script:not([src]), iframe").count() == 0


def test_the_frames_are_shown_without_passwords(emu: Emulator, visit: Visit) -> None:
    romeo = visit()
    romeo.visit()
    romeo.page.get_by_role("button", name="Frames", exact=True).click()
    drawer = romeo.page.get_by_role("region", name="Frames", exact=True)
    romeo.fill_in("Romeo", "romeo-pw")
    expect(drawer).to_contain_text('{"type":"sign_on","account":"Romeo","password":"•••"')
    expect(drawer).to_contain_text('"type": "signed_on"')
    expect(drawer).not_to_contain_text("romeo-pw")
    drawer.locator("summary").first.click()
    expect(drawer.locator("pre")).to_contain_text('"password": "•••"')
    drawer.get_by_role("button", name="Pause").click()
    drawer.get_by_role("button", name="Clear").click()
    expect(drawer.locator("summary")).to_have_count(0)
    emu.act("sign_on", address="juliet")
    expect(drawer).to_contain_text("held back")
    expect(drawer.locator("summary")).to_have_count(0)
    drawer.get_by_role("button", name="Pause").click()
    expect(drawer.locator("summary", has_text="presence")).to_contain_text('"address": "juliet"')
    drawer.get_by_role("button", name="Pause").press("Escape")
    expect(drawer).to_be_hidden()


def test_nonsense_from_the_service_is_survived(emu: Emulator, visit: Visit) -> None:
    romeo = visit()
    romeo.sign_on("Romeo")
    for text in (
        '{"type": "hologram"}',
        '{"type": "constructor"}',
        '{"type": "__proto__", "id": "x"}',
        '{"type": "presence", "address": "juliet", "show": "toString", "text": 7}',
        '{"type": "contact_list", "contacts": [null, 5, {}], "complete": false}',
        '{"type": "contact_changed", "contact": null}',
        '{"type": "message", "id": "m", "conversation": "nobody", "sent_at": "yesterday"}',
        '{"type": "outcome", "ref": "page-1", "stage": "toString"}',
        '{"type": "done", "ref": {}}',
    ):
        emu.act("say_raw", text=text, address="romeo")
    expect(romeo.buddy("nobody, Not on your list, 1 unread")).to_be_visible()
    emu.act("say_raw", text="this is no JSON", address="romeo")
    expect(romeo.link).to_have_text(re.compile("^Again in"))
    expect(romeo.link).to_have_text("Connected")
    expect(romeo.buddy("Juliet Capulet, Offline")).to_be_visible()


def test_names_are_folded_as_the_service_does(emu: Emulator, visit: Visit) -> None:
    romeo = visit()
    romeo.visit()
    letters = [
        chr(code)
        for code in range(0x20, sys.maxunicode + 1)
        if unicodedata.category(chr(code)) not in ("Cc", "Cs", "Cn", "Co", "Zl", "Zp")
    ]
    folded = romeo.page.evaluate(
        """async (all) => {
            const { canonical } = await import("/model.js");
            return all.split("\\n").map(canonical).join("\\n");
        }""",
        "\n".join(letters),
    ).split("\n")
    expected = ["" if letter.isspace() else letter.casefold() for letter in letters]
    assert [
        (letter, ours, theirs)
        for letter, ours, theirs in zip(letters, folded, expected, strict=True)
        if ours != theirs
    ] == []


@contextmanager
def document(html: str) -> Generator[str, None, None]:
    """Serve one document on a port of its own, as a demo would."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as demo:
        thread = threading.Thread(target=demo.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{demo.server_port}/"
        demo.shutdown()
        thread.join()


def test_a_page_of_this_machine_may_frame_it(emu: Emulator, visit: Visit) -> None:
    demo = visit()
    inner = f"{emu.page}#account=juliet&password=juliet-pw"
    icon = "<link rel=icon href=data:,>"
    with document(f'<!doctype html><title>Demo</title>{icon}<iframe src="{inner}">') as outer:
        demo.page.goto(outer)
        inside = demo.page.frame_locator("iframe")
        expect(inside.locator("#link-text")).to_have_text("Connected")


@pytest.mark.parametrize(("size", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_every_view_is_accessible(emu: Emulator, visit: Visit, size: str, scheme: str) -> None:
    phone = {"viewport": PHONE} if size == "phone" else {}
    romeo = visit(color_scheme=scheme, **phone)
    found: dict[str, list[str]] = {}

    def look(view: str) -> None:
        found[view] = romeo.violations()

    romeo.visit()
    expect(romeo.page.get_by_role("button", name="Romeo romeo-pw")).to_be_visible()
    dark = romeo.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (dark == "rgb(16, 21, 27)") is (scheme == "dark")
    look("entrance")
    romeo.fill_in("romeo", "no")
    expect(romeo.word).to_contain_text("password")
    look("refused")
    for name, show in (("juliet", "away"), ("mercutio", "dnd"), ("friar laurence", "xa")):
        emu.act("set_presence", address=name, show=show, text="words")
    emu.act("send_message", sender="benvolio", to="romeo", text="While you were away.")
    emu.act("add_contact", address="tybalt", contact="romeo", reason="A word.")
    romeo.fill_in("romeo", "romeo-pw")
    expect(romeo.cards).to_be_visible()
    look("list with request")
    romeo.buddy("Juliet").press("F2")
    look("rename")
    romeo.page.keyboard.press("Escape")
    romeo.page.get_by_role("button", name="Add buddy").click()
    look("add")
    romeo.page.keyboard.press("Escape")
    romeo.buddy("Juliet").press("Shift+F10")
    look("menu")
    romeo.page.keyboard.press("Escape")
    romeo.buddy("Juliet").press("Delete")
    look("remove")
    romeo.page.keyboard.press("Escape")
    chat = romeo.open("Benvolio")
    emu.act("set_policy", max_text_bytes=10)
    expect(chat.say("This is too long.")).to_contain_text("Not sent")
    emu.act("typing", sender="benvolio", to="romeo", state="composing")
    expect(chat.typing).to_contain_text("typing")
    look("chat")
    romeo.page.get_by_role("button", name="Frames", exact=True).click()
    romeo.page.locator("#frames summary").first.click()
    look("frames")
    romeo.page.keyboard.press("Escape")
    emu.act("kick", address="romeo", retry_after=60.0)
    expect(romeo.link).to_contain_text("Again in")
    look("lost")
    assert found == {view: [] for view in found}


def test_nothing_moves_by_itself(emu: Emulator, visit: Visit) -> None:
    romeo = visit(reduced_motion="reduce")
    romeo.visit()
    button = romeo.page.get_by_role("button", name="Sign on", exact=True)
    before = button.bounding_box()
    romeo.fill_in("Romeo", "no")
    expect(romeo.word).to_contain_text("password")
    assert button.bounding_box() == before

    romeo.fill_in("Romeo", "romeo-pw")
    chat = romeo.open("Juliet Capulet")
    steady = (chat.log, chat.input, romeo.buddy("Nurse"), romeo.page.locator("#own-status"))
    places = [each.bounding_box() for each in steady]
    emu.act("set_presence", address="juliet", show="away", text="gone " * 30)
    expect(romeo.buddy("Juliet Capulet, Away")).to_be_visible()
    emu.act("typing", sender="juliet", to="romeo", state="composing")
    expect(chat.typing).to_contain_text("typing")
    assert [each.bounding_box() for each in steady] == places
    said = chat.say("Stay!")
    expect(said).to_contain_text("Delivered")
    where = said.bounding_box()
    emu.act("add_contact", address="tybalt", contact="romeo")
    expect(romeo.cards).to_be_visible()
    emu.act("kick", address="romeo", retry_after=60.0)
    expect(romeo.link).to_contain_text("Again in")
    assert [each.bounding_box() for each in steady] == places
    assert said.bounding_box() == where
    moving = "getComputedStyle(document.querySelector('#toast')).transitionDuration"
    assert romeo.page.evaluate(moving) == "0s"


def test_an_open_chat_that_nobody_looks_at_stays_unread(emu: Emulator, visit: Visit) -> None:
    romeo: Visitor = visit()
    romeo.sign_on("Romeo")
    emu.act("sign_on", address="juliet")
    juliet = romeo.open("Juliet Capulet")
    nurse = romeo.open("Nurse")
    expect(nurse.input).to_be_focused()
    emu.act("send_message", sender="juliet", to="romeo", text="Art thou not Romeo?")
    expect(juliet.line("Art thou not Romeo?")).to_be_visible()
    expect(romeo.buddy("Juliet Capulet, Online, 1 unread")).to_be_visible()
    juliet.input.click()
    expect(romeo.buddy("Juliet Capulet, Online, 1 unread")).to_have_count(0)
