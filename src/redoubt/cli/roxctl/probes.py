"""``roxctl collector support-packages upload``: which files of a package are probes, and which of them Central lacks.

Rules of facts 1.5: only what lies under ``kernel-modules/`` counts; the same size and CRC-32 is the same file; what differs
stays as it is at Central unless somebody says otherwise.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from redoubt.cli.console import Advance, Console, clean
from redoubt.cli.roxctl import connection
from redoubt.errors import AccessDenied, UnreadableInput

_FOLDER = "kernel-modules/"
_PROBE = re.compile(
    r"(?:[0-9a-f]{64}|\d+\.\d+\.\d+(?:-rc\d+)?)/collector-(?:ebpf-\d+\.[^/]+\.o|\d+\.[^/]+\.ko)\.gz", re.ASCII
)
_LICENSE = "LICENSE"
_CHUNK = 256 << 10
_ASKED_AT_ONCE = 2000
_MINUTE = 60.0
#: Files that are named of those that stay as they are.
_NAMED = 2
#: What zipfile raises for what a zip should not hold.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)


class _File(msgspec.Struct):
    """A probe at Central."""

    name: str
    size: int = 0
    crc32: int = 0


class _Existing(msgspec.Struct, rename="camel"):
    existing_files: tuple[_File, ...] = ()


def upload(ctx: click.Context, file: Path, *, overwrite: bool, quiet: bool) -> None:
    """Send what Central lacks. Raises ``UnreadableInput`` for a package without probes, or that is damaged."""
    console = Console(quiet=quiet)
    with _opened(file, str(file)) as package:
        probes, strange = _probes(package)
        if strange:
            console.warn("the package holds files that are no probes, which may mean that it is damaged:")
            console.warn(f"  {_some(strange)}; if it came from the official site, tell its makers")
        if not probes:
            raise UnreadableInput(f"{file} holds no probes; is it a kernel support package?")
        console.notice(
            "support packages are deprecated: secured clusters of version 4.5 and later do not use them"
        )
        with connection.central(ctx, console, timeout=_MINUTE) as central:
            there = {one.name: one for one in _existing(central, list(probes))}
            lacking, others = _compared(probes, there, overwrite)
            if lacking:
                _send(central, package, lacking, console, file)
                click.echo(f"Uploaded {len(lacking)} of {len(probes)} files")
            elif not others:
                click.echo("All files of this package are at Central already")
    if others:
        console.warn(
            f"{len(others)} {'file is' if len(others) == 1 else 'files are'} at Central with other contents, "
            f"and stayed so: {_some(others)}; --overwrite replaces them"
        )


def manifest(files: Sequence[tuple[str, int, int]]) -> bytes:
    """``ProbeUploadManifest`` of the original's API, as protobuf: name, size and CRC-32 of each file."""
    from redoubt.wire.proto.redoubt.v1 import probes_pb2

    # Field by field the same message: a repeated File in field 1.
    sent = probes_pb2.GetExistingProbesReply()
    for name, size, crc32 in files:
        sent.existing_files.add(name=name, size=size, crc32=crc32)
    return sent.SerializeToString(deterministic=True)


def _opened(file: Path | BinaryIO, name: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except FileNotFoundError:
        raise UnreadableInput(f"{name}: there is no such file") from None
    except PermissionError:
        raise AccessDenied(f"{name}: permission denied") from None
    except _DAMAGE:
        raise UnreadableInput(f"{name} is no zip that can be read; carry the package again") from None


def _probes(package: zipfile.ZipFile) -> tuple[dict[str, zipfile.ZipInfo], list[str]]:
    """Probes by the name that Central knows them under, and the names of what is none."""
    probes: dict[str, zipfile.ZipInfo] = {}
    strange: list[str] = []
    for entry in package.infolist():
        name = entry.filename.removeprefix(_FOLDER)
        if entry.filename.endswith("/") or name == entry.filename:
            continue
        if _PROBE.fullmatch(name):
            probes[name] = entry
        elif name.rpartition("/")[2] != _LICENSE:
            strange.append(name)
    return probes, strange


def _existing(central: connection.Central, names: Sequence[str]) -> Iterator[_File]:
    for begin in range(0, len(names), _ASKED_AT_ONCE):
        body = {"filesToCheck": names[begin : begin + _ASKED_AT_ONCE]}
        yield from central.ask("POST", "/v1/probeupload/getexisting", body, _Existing).existing_files


def _compared(
    probes: Mapping[str, zipfile.ZipInfo], there: Mapping[str, _File], overwrite: bool
) -> tuple[dict[str, zipfile.ZipInfo], list[str]]:
    """What is to be sent, and what is at Central with other contents and stays."""
    lacking: dict[str, zipfile.ZipInfo] = {}
    others: list[str] = []
    for name, entry in probes.items():
        found = there.get(name)
        if found is None:
            lacking[name] = entry
        elif (found.size, found.crc32) != (entry.file_size, entry.CRC):
            if overwrite:
                lacking[name] = entry
            else:
                others.append(name)
    return lacking, others


def _send(
    central: connection.Central,
    package: zipfile.ZipFile,
    lacking: Mapping[str, zipfile.ZipInfo],
    console: Console,
    file: Path,
) -> None:
    head = manifest([(name, entry.file_size, entry.CRC) for name, entry in lacking.items()])
    total = len(head) + sum(entry.file_size for entry in lacking.values())
    with console.bars(file.name) as advance:
        body = _body(head, package, list(lacking.values()), total, advance, file)
        with central.send(
            "POST",
            f"/api/extensions/probeupload?manifestLen={len(head)}",
            lambda: central.in_time(body, "the upload"),
            {"Content-Type": "application/octet-stream", "Content-Length": str(total)},
        ):
            pass


def _body(
    head: bytes,
    package: zipfile.ZipFile,
    entries: Sequence[zipfile.ZipInfo],
    total: int,
    advance: Advance,
    file: Path,
) -> Iterator[bytes]:
    """The manifest, and the files in its order as they are, not as they are packed."""
    yield head
    sent = len(head)
    for entry in entries:
        try:
            with package.open(entry) as member:
                while chunk := member.read(_CHUNK):
                    yield chunk
                    sent += len(chunk)
                    advance("sent", sent, total)
        except _DAMAGE:
            raise UnreadableInput(
                f"{file}: {clean(entry.filename)} is damaged; carry the package again"
            ) from None


def _some(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(clean(name) for name in names[:_NAMED])
    more = len(names) - _NAMED
    return shown if more <= 0 else f"{shown} and {more} {'other' if more == 1 else 'others'}"
