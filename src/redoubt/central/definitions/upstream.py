"""What Scanners of the original ask Central for, out of an upload of the original's.

The query has three forms (facts of StackRox's ``central/scannerdefinitions/handler``): ``uuid`` for Scanner V2's
definitions, ``file=name2repos`` or ``repo2cpe`` for Red Hat's maps, ``version`` for V4's vulnerabilities. A member is
taken out of the zip once and lies beside it from then on.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from redoubt.definitions.durable import writing
from redoubt.definitions.stackrox.archive import (
    DEFINITIONS,
    MANIFEST,
    NAMES_TO_REPOSITORIES,
    REPOSITORIES_TO_CPES,
    V2,
)

_FILES = {"name2repos": NAMES_TO_REPOSITORIES, "repo2cpe": REPOSITORIES_TO_CPES}
_INNER = ("v4-definitions-", "scanner-v4-defs-")
_MANIFEST_LIMIT = 1 << 20


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: one of the three forms."""

    uuid: str = ""
    file: str = ""
    version: str = ""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The file, and what its bytes are called."""

    path: Path
    etag: str
    media_type: str


class _Manifest(msgspec.Struct):
    version: str = ""


async def member(bundle: Path, asked: Member) -> Found | None:
    """The file for ``asked`` out of ``bundle``, with the bundle's time; None where there is none."""
    return await asyncio.to_thread(_member, bundle, asked)


def _member(bundle: Path, asked: Member) -> Found | None:
    if asked.uuid:
        if asked.file:
            return None  # files within Scanner V2's dump are nobody's any more
        return _taken(bundle, V2, "", "application/zip")
    name = DEFINITIONS if asked.version else _FILES.get(asked.file, "")
    if not name:
        return None
    kind = "application/zip" if asked.version else "application/json"
    return _taken(bundle, name, asked.version, kind)


def _taken(bundle: Path, name: str, version: str, kind: str) -> Found | None:
    suffix = f"-{version}" if version else ""
    if version and not version.replace(".", "").replace("-", "").isalnum():
        return None
    out = bundle.with_name(f"{name}{suffix}")
    if not out.exists():
        with zipfile.ZipFile(bundle) as archive, _holding(archive, name, version) as source:
            if source is None:
                return None
            draft = out.with_name(f".{out.name}.{os.getpid()}.{os.urandom(4).hex()}")
            try:
                with writing(draft), draft.open("xb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
                facts = bundle.stat()
                os.utime(draft, (facts.st_atime, facts.st_mtime))
                draft.replace(out)
            finally:
                draft.unlink(missing_ok=True)
    return Found(path=out, etag=f"{bundle.parent.name[:32]}-{name}", media_type=kind)


@contextmanager
def _holding(archive: zipfile.ZipFile, name: str, version: str) -> Iterator[IO[bytes] | None]:
    """The member called ``name``, at the top or in the inner zip of V4 whose manifest has the ``version``."""
    names = archive.namelist()
    if name in names and (not version or _has(archive, version)):
        with archive.open(name) as source:
            yield source
        return
    for inner in names:
        if inner.startswith(_INNER) and inner.endswith(".zip") and "/" not in inner:
            with archive.open(inner) as opened, zipfile.ZipFile(opened) as within:
                if name in within.namelist() and (not version or _has(within, version)):
                    with within.open(name) as source:
                        yield source
                    return
    yield None


def _has(archive: zipfile.ZipFile, version: str) -> bool:
    try:
        with archive.open(MANIFEST) as file:
            manifest = msgspec.json.decode(file.read(_MANIFEST_LIMIT), type=_Manifest)
    except (KeyError, msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return manifest.version == version
