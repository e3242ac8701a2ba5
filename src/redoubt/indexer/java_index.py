"""A local file that says which Maven artifact an archive of a given SHA-1 is: made here, and looked things up in.

For archives that nothing in them names. All numbers are big-endian:

    16 bytes  ``RedoubtJavaIdx1\\n``
    32 bytes  SHA-256 of everything after these 48 bytes: the file's digest
     8 bytes  how many records
     8 bytes  how many bytes of texts
    records   28 bytes each, ascending: SHA-1, where its ``group:artifact`` and its version begin in the texts (4 each)
    texts     2 bytes of length, then UTF-8

It is read by place, so that its size costs nothing. It must not know what an archive is.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from redoubt.errors import UnreadableInput

_MAGIC = b"RedoubtJavaIdx1\n"
_COUNTS = struct.Struct(">2Q")
_RECORD = struct.Struct(">20s2I")
_BODY = len(_MAGIC) + 32
_RECORDS = _BODY + _COUNTS.size
_MAX_TEXTS = 1 << 32
_MAX_TEXT = 1024
_PIECE = 1 << 20
_ARCHIVES = (".jar", ".war", ".ear", ".hpi", ".jpi", ".par", ".rar", ".kar", ".nar", ".far")
_SPLIT = re.compile(r"[\s,;|]+")
_WORD = re.compile(r"[^\s:/\\]+")


class Artifact(NamedTuple):
    """What an archive is: ``name`` is ``group:artifact``."""

    name: str
    version: str


class JavaIndex:
    """An open index. Safe between threads. A disk that fails raises ``OSError``, whatever is asked."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises ``UnreadableInput`` where it is no such file, or not as long as it says."""
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise UnreadableInput(f"{path}: {error.strerror or error}") from None
        try:
            head = _exactly(self._file, 0, _RECORDS)
            size = os.fstat(self._file).st_size
        except OSError as error:
            os.close(self._file)
            raise UnreadableInput(f"{path}: {error.strerror or error}") from None
        self.count, texts = _COUNTS.unpack(head[_BODY:]) if len(head) == _RECORDS else (0, 0)
        self._texts = _RECORDS + self.count * _RECORD.size
        #: ``sha256:…``, as the file says it of itself; ``verify`` proves it.
        self.digest = "sha256:" + head[len(_MAGIC) : _BODY].hex()
        if not head.startswith(_MAGIC) or size != self._texts + texts:
            os.close(self._file)
            what = (
                "is damaged or cut off"
                if head.startswith(_MAGIC)
                else "was not made by `redoubt java-index build`"
            )
            raise UnreadableInput(f"{path} {what}")

    def find(self, sha1: bytes) -> Artifact | None:
        """The artifact of an archive's SHA-1 (20 bytes), if the index knows it."""
        low, high = 0, self.count
        while low < high:
            middle = (low + high) // 2
            record = _exactly(self._file, _RECORDS + middle * _RECORD.size, _RECORD.size)
            if len(record) < _RECORD.size:
                return None
            key, name, version = _RECORD.unpack(record)
            if key == sha1:
                return Artifact(self._text(name), self._text(version))
            low, high = (middle + 1, high) if key < sha1 else (low, middle)
        return None

    def verify(self) -> None:
        """Read it whole. Raises ``UnreadableInput`` if it isn't what its digest says, or not in order."""
        digest = hashlib.sha256(_exactly(self._file, _BODY, _COUNTS.size))
        at, end, last = _RECORDS, self._texts, b""
        piece = _PIECE // _RECORD.size * _RECORD.size
        while chunk := _exactly(self._file, at, min(piece, end - at) if at < end else _PIECE):
            digest.update(chunk)
            for key, _, _ in _RECORD.iter_unpack(chunk) if at < end else ():
                if key <= last:
                    raise UnreadableInput("the Java index is not in order; build it anew")
                last = key
            at += len(chunk)
        if "sha256:" + digest.hexdigest() != self.digest:
            raise UnreadableInput("the Java index is damaged: it isn't what its digest says; build it anew")

    def close(self) -> None:
        """Nothing is looked up afterwards."""
        os.close(self._file)

    def _text(self, at: int) -> str:
        length = int.from_bytes(_exactly(self._file, self._texts + at, 2), "big")
        return _exactly(self._file, self._texts + at + 2, min(length, _MAX_TEXT)).decode("utf-8", "replace")


class Listing:
    """Collects what an index is made of. Of two artifacts with the same SHA-1 the one named first stays."""

    def __init__(self) -> None:
        self._records: dict[bytes, tuple[int, int]] = {}
        self._places: dict[str, int] = {}
        self._texts = bytearray()
        self.refused = 0

    def __len__(self) -> int:
        return len(self._records)

    def add(self, sha1: bytes, group: str, artifact: str, version: str) -> None:
        """One archive. Counted in ``refused`` where the words can't be coordinates."""
        words = (group, artifact, version)
        if len(sha1) != 20 or not all(_WORD.fullmatch(word) and word.isprintable() for word in words):
            self.refused += 1
        elif sha1 not in self._records:
            self._records[sha1] = self._place(f"{group}:{artifact}"), self._place(version)

    def read_lines(self, lines: Iterable[str]) -> None:
        """A line an archive: SHA-1 in hexadecimal, group, artifact and version, between commas, colons, tabs or spaces.

        Words may be in double quotes. Empty lines and those that begin with ``#`` are passed over; what else
        isn't of this form (a title line) is counted in ``refused``.
        """
        for line in lines:
            line = line[: 4 * _MAX_TEXT].replace('"', "").strip()
            if not line or line.startswith("#"):
                continue
            sha1, *words = _SPLIT.split(line)
            words = [part for word in words for part in word.split(":")]
            try:
                key = bytes.fromhex(sha1)
            except ValueError:
                key = b""
            if len(words) >= 3:
                self.add(key, *words[:3])
            else:
                self.refused += 1

    def read_repository(self, root: Path) -> None:
        """Every archive of a Maven repository's folder: ``GROUP…/ARTIFACT/VERSION/ARTIFACT-VERSION….jar``.

        Links aren't followed. What cannot be read, or lies where no artifact lies, is counted in ``refused``.
        """
        for path in _archives(root):
            *group, artifact, version, name = path.relative_to(root).parts
            if not group or not name.startswith(f"{artifact}-"):
                self.refused += 1
                continue
            try:
                with path.open("rb") as file:
                    sha1 = hashlib.file_digest(file, lambda: hashlib.sha1(usedforsecurity=False)).digest()
            except OSError:
                self.refused += 1
                continue
            self.add(sha1, ".".join(group), artifact, version)

    def write(self, path: Path) -> str:
        """Write the index, whole or not at all, and return its digest. Raises ``OSError``."""
        records = bytearray()
        for sha1 in sorted(self._records):
            records += _RECORD.pack(sha1, *self._records[sha1])
        body = _COUNTS.pack(len(self._records), len(self._texts))
        digest = hashlib.sha256(body)
        digest.update(records)
        digest.update(self._texts)
        draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
        try:
            with draft.open("xb") as file:
                for part in (_MAGIC, digest.digest(), body, records, self._texts):
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise
        return "sha256:" + digest.hexdigest()

    def _place(self, text: str) -> int:
        place = self._places.get(text)
        if place is None:
            raw = text.encode("utf-8", "replace")[:_MAX_TEXT]
            place = self._places[text] = len(self._texts)
            if place + len(raw) + 2 > _MAX_TEXTS:
                raise UnreadableInput("too many different names and versions for one Java index")
            self._texts += len(raw).to_bytes(2, "big") + raw
        return place


def _archives(root: Path) -> Iterator[Path]:
    """The archives below a folder, in the order of their names, at least three folders deep."""
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if (
                name.lower().endswith(_ARCHIVES)
                and len(path.relative_to(root).parts) > 3
                and not path.is_symlink()
            ):
                yield path


def _exactly(file: int, at: int, length: int) -> bytes:
    """``length`` bytes from a place; fewer only at the end."""
    data = os.pread(file, length, at)
    while len(data) < length and (more := os.pread(file, length - len(data), at + len(data))):
        data += more
    return data
