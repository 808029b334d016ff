"""What is sealed opens for its owner and purpose only; key files are kept safe."""

from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigurationError
from gateway.host import Host, RealHost
from gateway.store.sealing import KEY_BYTES, CannotOpen, Context, Sealed, Sealer

ONE, TWO = bytes(range(32)), bytes(range(32, 64))
MINE = Context("credentials", 7, "aim.example.net", "romeo@example.net")

names = st.text(max_size=20)
contexts = st.builds(Context, names, st.integers(0, 2**63), names, names, names)


class Repeating(RealHost):
    """A host whose nonces are known."""

    def token_bytes(self, count: int) -> bytes:
        return b"\x07" * count


@given(plain=st.binary(max_size=300), context=contexts)
def test_what_is_sealed_opens_under_the_same_context(plain: bytes, context: Context) -> None:
    sealer = Sealer(RealHost(), [ONE])
    assert sealer.open(sealer.seal(plain, context), context) == plain


@given(mine=contexts, theirs=contexts)
def test_two_contexts_never_look_the_same(mine: Context, theirs: Context) -> None:
    assert (mine == theirs) == (mine.to_bytes() == theirs.to_bytes())


@given(split=st.integers(0, 6), at=st.integers(0, 6))
def test_letters_that_move_between_parts_make_another_context(split: int, at: int) -> None:
    text = "abcdef"
    one = Context("p", 1, text[:split], text[split:])
    two = Context("p", 1, text[:at], text[at:])
    assert (one.to_bytes() == two.to_bytes()) == (split == at)


@pytest.mark.parametrize(
    "other",
    [
        attrs.evolve(MINE, purpose="journal"),
        attrs.evolve(MINE, account_id=8),
        attrs.evolve(MINE, component="icq.example.net"),
        attrs.evolve(MINE, jid="juliet@example.net"),
        attrs.evolve(MINE, detail="x"),
    ],
)
def test_nobody_else_and_nothing_else_opens_it(sealer: Sealer, other: Context) -> None:
    sealed = sealer.seal(b"swordfish", MINE)
    with pytest.raises(CannotOpen, match="moved"):
        sealer.open(sealed, other)


@given(plain=st.binary(max_size=40), where=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_changed_byte_is_noticed(plain: bytes, where: int, flip: int) -> None:
    sealer = Sealer(RealHost(), [ONE])
    sealed = sealer.seal(plain, MINE)
    data = bytearray(sealed.data)
    data[where % len(data)] ^= flip
    with pytest.raises(CannotOpen):
        sealer.open(Sealed(sealed.key_id, bytes(data)), MINE)


@given(data=st.binary(max_size=60))
def test_anything_else_does_not_open(data: bytes) -> None:
    sealer = Sealer(RealHost(), [ONE])
    with pytest.raises(CannotOpen):
        sealer.open(Sealed(sealer.key_id, data), MINE)


def test_the_first_key_seals_and_all_of_them_open(host: Host) -> None:
    old, new, both = Sealer(host, [ONE]), Sealer(host, [TWO]), Sealer(host, [TWO, ONE])
    assert both.key_id == new.key_id != old.key_id
    assert both.open(old.seal(b"x", MINE), MINE) == b"x"
    assert new.open(both.seal(b"x", MINE), MINE) == b"x"
    with pytest.raises(CannotOpen, match=f"key {new.key_id}"):
        old.open(both.seal(b"x", MINE), MINE)
    assert [both.knows(key) for key in (old.key_id, new.key_id, "")] == [True, True, False]


def test_nonces_come_from_the_host() -> None:
    sealer = Sealer(Repeating(), [ONE])
    assert sealer.seal(b"x", MINE) == sealer.seal(b"x", MINE)
    assert sealer.seal(b"x", MINE).data.startswith(b"\x07" * 12)


def test_the_same_text_is_never_sealed_the_same(sealer: Sealer) -> None:
    assert len({sealer.seal(b"x", MINE).data for _ in range(100)}) == 100


def test_keys_and_sealed_texts_are_in_no_repr(sealer: Sealer) -> None:
    shown = repr(sealer) + repr(sealer.seal(b"x", MINE))
    assert shown.count(sealer.key_id) == 2
    assert ONE.hex() not in shown
    assert "\\x" not in shown


# --- key files --------------------------------------------------------------------------------


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "balcony.key"
    Sealer.create_key_file(path)
    return path


def test_a_new_key_file_is_its_owners_alone_and_another_each_time(
    host: Host, key_file: Path
) -> None:
    assert key_file.stat().st_mode & 0o777 == 0o600
    other = key_file.with_name("other.key")
    Sealer.create_key_file(other)
    assert Sealer.from_file(host, key_file).key_id == Sealer.from_file(host, key_file).key_id
    assert Sealer.from_file(host, key_file).key_id != Sealer.from_file(host, other).key_id


def test_a_key_file_is_never_overwritten(key_file: Path) -> None:
    before = key_file.read_bytes()
    with pytest.raises(ConfigurationError, match="exists already"):
        Sealer.create_key_file(key_file)
    assert key_file.read_bytes() == before


def test_a_key_file_that_cannot_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot write the key file"):
        Sealer.create_key_file(tmp_path / "nowhere" / "balcony.key")


def test_a_missing_key_file_has_a_remedy(host: Host, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="balcony init"):
        Sealer.from_file(host, tmp_path / "balcony.key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_a_key_file_for_others_too_is_refused(host: Host, key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    with pytest.raises(ConfigurationError, match=f"chmod 600 {key_file}"):
        Sealer.from_file(host, key_file)
    key_file.chmod(0o400)
    Sealer.from_file(host, key_file)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing but a comment\n",
        "balcony-key-1\n",
        "balcony-key-1 tooshort\n",
        "balcony-key-1 !!!!\n",
        "balcony-key-9 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "balcony-key-1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= more\n",
        "\xff\xfe",
    ],
)
def test_a_malformed_key_file_is_refused_and_not_quoted(
    host: Host, key_file: Path, text: str
) -> None:
    key_file.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigurationError, match=r"backup") as caught:
        Sealer.from_file(host, key_file)
    assert "tooshort" not in str(caught.value)
    assert "AAAA" not in str(caught.value)


def test_a_key_can_be_added_and_the_old_ones_dropped(host: Host, key_file: Path) -> None:
    old = Sealer.from_file(host, key_file)
    Sealer.add_key(key_file)
    both = Sealer.from_file(host, key_file)
    assert both.key_id != old.key_id
    assert both.knows(old.key_id)
    Sealer.drop_old_keys(key_file)
    new = Sealer.from_file(host, key_file)
    assert new.key_id == both.key_id
    assert not new.knows(old.key_id)
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in key_file.parent.iterdir()] == ["balcony.key"]


def test_a_key_has_the_right_length(host: Host) -> None:
    assert KEY_BYTES == 32
    with pytest.raises(ConfigurationError, match="at least one key"):
        Sealer(host, [])
