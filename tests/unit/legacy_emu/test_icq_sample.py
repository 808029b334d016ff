"""The sample of ICQ numbers: as an old ICQ client would have them."""

from pathlib import Path

from legacy_emu import config, server
from legacy_emu.host import RealWorld

SAMPLE = Path(config.__file__).with_name("sample_icq.toml")
MOST_PASSWORD_CHARACTERS = 8  # many ICQ clients cut there


def test_everybody_is_a_number_with_a_nick_and_a_short_password() -> None:
    accounts = config.check(config.read(SAMPLE)).account
    assert len(accounts) > 5
    for account in accounts:
        assert account.address.isdecimal()
        assert account.name
        assert len(account.password) <= MOST_PASSWORD_CHARACTERS
        assert all(contact.name for contact in account.contacts)


def test_everybody_is_on_each_others_lists() -> None:
    service = server.build(config.check(config.read(SAMPLE)), RealWorld())
    numbers = {person.name: person.address for person in service.backend.people()}
    for first, second in (("Romeo", "Juliet"), ("Romeo", "Nurse"), ("Romeo", "Mercutio")):
        for one, other in ((first, second), (second, first)):
            contacts = {each.address: each for each in service.backend.contacts(numbers[one])}
            assert contacts[numbers[other]].name == other
            assert contacts[numbers[other]].sees
            assert contacts[numbers[other]].seen_by
