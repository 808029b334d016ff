"""Seal what must not be read in the database: credentials, and messages that wait.

ChaCha20-Poly1305, with a key from a file outside the database. What a sealed text is for and whose
it is are authenticated with it, so a row that was copied to another account does not open. Tables
and transactions are the store's business.
"""

import base64
import binascii
import contextlib
import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from gateway.errors import ConfigurationError, StoreError
from gateway.host import Host

KEY_BYTES = 32
NONCE_BYTES = 12
KEY_LINE = "balcony-key-1"  # what a line of the key file starts with: the format's version

_FILE_HEADER = f"""\
# Seals the credentials in Balcony's store. Keep it secret, keep a copy of it apart from the
# database's backups: without it every user has to register again.
# One "{KEY_LINE} ..." line a key; the first one seals, all of them open.
"""
_KEY_ID_PERSON = b"balcony key id"


class CannotOpen(StoreError):
    """A sealed text does not open: another key, another owner, or damaged."""


@attrs.frozen
class Sealed:
    """A sealed text as it stands in a row."""

    key_id: str
    data: bytes = attrs.field(repr=False)


@attrs.frozen
class Context:
    """Whose a sealed text is, and what for; it opens under the same context only."""

    purpose: str
    account_id: int = 0
    component: str = ""
    jid: str = ""
    detail: str = ""  # what tells texts of one account apart, where a mix-up would matter

    def to_bytes(self) -> bytes:
        """Return bytes that no other context has: each part is led by its length."""
        parts = (self.purpose, str(self.account_id), self.component, self.jid, self.detail)
        encoded = [part.encode() for part in parts]
        return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


class Sealer:
    """Seals with its first key; opens with any of its keys."""

    def __init__(self, host: Host, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ConfigurationError("a sealer needs at least one key")
        self._host = host
        self._ciphers = {_key_id(key): ChaCha20Poly1305(key) for key in keys}
        self.key_id = _key_id(keys[0])

    def __repr__(self) -> str:
        return f"<Sealer {self.key_id}, {len(self._ciphers)} key(s)>"

    def knows(self, key_id: str) -> bool:
        """Say whether this sealer has the key with this id."""
        return key_id in self._ciphers

    def seal(self, plain: bytes, context: Context) -> Sealed:
        nonce = self._host.token_bytes(NONCE_BYTES)
        cipher = self._ciphers[self.key_id]
        return Sealed(self.key_id, nonce + cipher.encrypt(nonce, plain, context.to_bytes()))

    def open(self, sealed: Sealed, context: Context) -> bytes:
        """Return what was sealed under this very context. Raises `CannotOpen`."""
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            raise CannotOpen(f"sealed with the key {sealed.key_id}, which is not in the key file")
        nonce, data = sealed.data[:NONCE_BYTES], sealed.data[NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, data, context.to_bytes())
        except (InvalidTag, ValueError) as exc:  # ValueError: too short to hold a nonce
            raise CannotOpen(f"damaged, or moved from another row ({context.purpose})") from exc

    @classmethod
    def from_file(cls, host: Host, path: Path) -> "Sealer":
        """Read the key file. Raises `ConfigurationError` with what to do about it."""
        return cls(host, _read_keys(path))

    @staticmethod
    def create_key_file(path: Path) -> None:
        """Write a new key file that only its owner can read.

        Raises `ConfigurationError` when there is a file already: it may be the only key to a store.
        """
        try:
            _write_new(path, [ChaCha20Poly1305.generate_key()])
        except FileExistsError as exc:
            raise ConfigurationError(
                f"{path} exists already and is kept; move it away if no store needs it any more"
            ) from exc
        except OSError as exc:
            raise ConfigurationError(f"cannot write the key file {path}: {exc.strerror}") from exc

    @staticmethod
    def add_key(path: Path) -> None:
        """Put a new key before those of the file: it seals from now on, the others still open.

        Then load the file anew, hand it to `Store.rekey`, and call `drop_old_keys`. The file is
        replaced in one step; it opens the store at every moment of this.
        """
        _replace(path, [ChaCha20Poly1305.generate_key(), *_read_keys(path)])

    @staticmethod
    def drop_old_keys(path: Path) -> None:
        """Leave the first key of the file only. Right after `Store.rekey`, never before."""
        _replace(path, _read_keys(path)[:1])


def _key_id(key: bytes) -> str:
    return hashlib.blake2b(key, digest_size=8, person=_KEY_ID_PERSON).hexdigest()


def _read_keys(path: Path) -> list[bytes]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with open(descriptor, encoding="ascii") as file:  # noqa: PTH123 - a descriptor, not a path
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            text = file.read()
    except FileNotFoundError as exc:
        raise ConfigurationError(
            f"there is no key file {path}; 'balcony init' makes one, or restore yours from a backup"
        ) from exc
    except OSError as exc:
        raise ConfigurationError(f"cannot read the key file {path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{path} is not a key file; restore yours from a backup") from exc
    if mode & 0o077:
        raise ConfigurationError(
            f"others than its owner may use the key file {path} (mode {mode:04o});"
            f" run: chmod 600 {path}"
        )
    keys = [
        _parse_key(path, number, line)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.startswith("#")
    ]
    if not keys:
        raise ConfigurationError(f"no key in the key file {path}; restore yours from a backup")
    return keys


def _parse_key(path: Path, number: int, line: str) -> bytes:
    """Decode one line; what it holds never gets into an error."""
    words = line.split()
    key = b""
    if len(words) == 2 and words[0] == KEY_LINE:
        with contextlib.suppress(binascii.Error):
            key = base64.b64decode(words[1], validate=True)
    if len(key) != KEY_BYTES:
        raise ConfigurationError(
            f"line {number} of the key file {path} is not '{KEY_LINE}' and {KEY_BYTES} bytes in"
            " base64; restore the file from a backup"
        )
    return key


def _write_new(path: Path, keys: Sequence[bytes]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123 - a descriptor, not a path
        file.write(_FILE_HEADER)
        file.writelines(f"{KEY_LINE} {base64.b64encode(key).decode()}\n" for key in keys)
        file.flush()
        os.fsync(descriptor)


def _replace(path: Path, keys: Sequence[bytes]) -> None:
    beside = path.with_name(f"{path.name}.new")
    try:
        beside.unlink(missing_ok=True)
        _write_new(beside, keys)
        beside.replace(path)
    except OSError as exc:
        raise ConfigurationError(f"cannot replace the key file {path}: {exc.strerror}") from exc
