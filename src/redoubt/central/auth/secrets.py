"""Secrets at rest: sealed with AES-256-GCM by a key that is in a file, not in the database.

The file has a line a key, ``<identifier> <32 bytes in base64>``; the first one seals, all of them open. It belongs to
Central alone (mode 0600); every replica needs the same. A secret is bound to where it is kept (``context``), so that one
row's cannot be put into another's place. Losing the file is losing the secrets: it belongs into the backup, apart from
the database's.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import threading
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from redoubt.errors import AccessDenied, UnreadableInput

_FORM = b"\x01"
_ID = 8
_NONCE = 12
_LIMIT = 100_000


class Sealer:
    """Opens and seals. May be used from several threads; reads the file again when it meets a key it does not know."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._keys: dict[bytes, AESGCM] = {}
        self._first = b""
        self._stamp = (0, 0, 0)
        self._read()

    @classmethod
    def create_or_open(cls, path: Path) -> Sealer:
        """The keys in ``path``; a file with a new one is made where there is none."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            _write_new(path, _line())
        except FileExistsError:
            pass
        except PermissionError:
            raise AccessDenied(f"{path}: the file of keys cannot be written") from None
        return cls(path)

    def seal(self, secret: bytes, context: str) -> bytes:
        """``secret``, sealed for ``context``."""
        self._read_if_changed()
        nonce = secrets.token_bytes(_NONCE)
        with self._lock:
            first, key = self._first, self._keys[self._first]
        return _FORM + first + nonce + key.encrypt(nonce, secret, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """What was sealed. Raises ``UnreadableInput`` where no key fits or it was sealed for something else."""
        identifier = sealed[1 : 1 + _ID]
        if sealed[:1] != _FORM or len(sealed) < 1 + _ID + _NONCE:
            raise UnreadableInput("a sealed secret is damaged")
        key = self._key(identifier)
        if key is None:
            raise UnreadableInput(
                f"a secret in the database is sealed with a key that {self._path} does not have;"
                " give every replica the file that the first one made"
            )
        nonce, rest = sealed[1 + _ID : 1 + _ID + _NONCE], sealed[1 + _ID + _NONCE :]
        try:
            return key.decrypt(nonce, rest, context.encode())
        except InvalidTag:
            raise UnreadableInput("a sealed secret is damaged, or was sealed for another place") from None

    def current(self, sealed: bytes) -> bool:
        """Whether it is sealed with the key that seals now."""
        return sealed[1 : 1 + _ID] == self._first

    def rotate(self, kept: int = 1) -> None:
        """Put a new key first, and keep that many of those before it, which still open.

        Raises ``AccessDenied`` where the file cannot be written; nothing has changed then.
        """
        with self._lock:
            before = _text(self._path).splitlines(keepends=True)
            try:
                _replace(self._path, "".join([_line(), *before[:kept]]))
            except OSError as error:
                raise AccessDenied(
                    f"{self._path}: the file of keys cannot be written ({error.strerror});"
                    " put a new line first yourself, then have the secrets sealed anew without a new key"
                ) from None
        self._read()

    def _key(self, identifier: bytes) -> AESGCM | None:
        with self._lock:
            found = self._keys.get(identifier)
        if found is None:
            self._read()
            with self._lock:
                found = self._keys.get(identifier)
        return found

    def _read_if_changed(self) -> None:
        """Another replica, or a person, may have put a new key first; the old one shall seal nothing more."""
        try:
            stamp = _stamp(self._path)
        except OSError:
            return  # what is in memory is still right
        if stamp != self._stamp:
            self._read()

    def _read(self) -> None:
        stamp = _stamp(self._path) if self._path.exists() else (0, 0, 0)
        keys: dict[bytes, AESGCM] = {}
        for line in _text(self._path).splitlines():
            if not line.strip():
                continue
            name, _, value = line.strip().partition(" ")
            try:
                key = base64.b64decode(value, validate=True)
                identifier = bytes.fromhex(name)
            except (binascii.Error, ValueError):
                key, identifier = b"", b""
            if len(key) != 32 or len(identifier) != _ID:
                raise UnreadableInput(f"{self._path}: not a file of keys")
            keys.setdefault(identifier, AESGCM(key))
        if not keys:
            raise UnreadableInput(f"{self._path}: holds no key")
        with self._lock:
            self._keys, self._first, self._stamp = keys, next(iter(keys)), stamp


def _line() -> str:
    return f"{secrets.token_hex(_ID)} {base64.b64encode(secrets.token_bytes(32)).decode()}\n"


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_mode & 0o007:
                raise AccessDenied(f"{path}: others on this machine may read or write the keys; chmod 600 it")
            return stream.read(_LIMIT).decode("ascii", "replace")
    except FileNotFoundError:
        raise UnreadableInput(f"{path}: no such file of keys") from None
    except PermissionError:
        raise AccessDenied(f"{path}: the file of keys may not be read") from None


def _write_new(path: Path, text: str) -> None:
    """Whole or not at all, and only where nothing is: two that start at once end with one file."""
    temporary = _beside(path, text)
    try:
        os.link(temporary, path)
    finally:
        temporary.unlink()


def _replace(path: Path, text: str) -> None:
    temporary = _beside(path, text)
    try:
        temporary.replace(path)
    except OSError:
        temporary.unlink()
        raise


def _beside(path: Path, text: str) -> Path:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with open(temporary, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    return temporary
