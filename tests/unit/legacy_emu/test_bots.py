"""Users who are programs."""

import trio
import trio.testing
from trio.testing import MockClock

from legacy_emu.bots import populate, run_chatter, run_echo
from legacy_emu.control import Control
from legacy_emu.events import MessageArrived
from legacy_emu.service import Service


def said_to(control: Control, name: str) -> list[str]:
    return [
        heard.event.text for heard in control.heard(name) if isinstance(heard.event, MessageArrived)
    ]


async def test_the_echo_says_back_and_lets_everybody_in(
    service: Service, control: Control, autojump_clock: MockClock
) -> None:
    control.sign_on("romeo")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_echo, service, "juliet")
        await trio.testing.wait_all_tasks_blocked()
        control.add_contact("romeo", "juliet")
        control.send_message("romeo", "juliet", "Hello \ud83d")
        await trio.testing.wait_all_tasks_blocked()
        assert said_to(control, "romeo") == ["Hello \ud83d"]
        [contact] = control.contacts("romeo")
        assert contact.sees
        assert control.kept("juliet") == ()
        control.kick("juliet")
        await trio.sleep(60)  # and is back
        control.send_message("romeo", "juliet", "again")
        await trio.testing.wait_all_tasks_blocked()
        assert said_to(control, "romeo")[-1] == "again"
        nursery.cancel_scope.cancel()
    assert {
        account["sessions"] for account in control.accounts() if account["address"] != "romeo"
    } == {0}


async def test_the_chatter_talks_to_who_is_there(
    service: Service, control: Control, autojump_clock: MockClock
) -> None:
    control.befriend("juliet", "romeo")
    control.befriend("juliet", "tybalt")
    control.sign_on("romeo")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_chatter, service, "juliet", 10)
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert 4 <= len(said_to(control, "romeo")) <= 12
    assert control.kept("tybalt") == ()


def test_a_crowd_has_as_many_contacts_as_it_should(service: Service) -> None:
    names = populate(service, accounts=10, contacts=3, password="pw")
    assert names == [f"user{number}" for number in range(10)]
    for name in names:
        contacts = service.backend.contacts(name)
        assert sum(contact.sees for contact in contacts) == 3
        assert sum(contact.seen_by for contact in contacts) == 3
