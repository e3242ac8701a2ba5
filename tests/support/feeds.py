"""Mirror folders made of the fixtures, and feeds' records as text that a person can check."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import zstandard

from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Notes
from redoubt.definitions.mirror import Mirror
from redoubt.definitions.sources import SOURCES, Source
from redoubt.model import Advisory, AffectedRange, RangeFlag, Status
from support.data import ROOT

FIXTURES = ROOT / "tests" / "unit" / "definitions" / "fixtures"


def source_named(name: str) -> Source:
    return next(source for source in SOURCES if source.name == name)


#: Endings of archives, and how ``tarfile`` writes those that are no zip.
_ARCHIVES = {".zip": "", ".tar": "w:", ".tar.gz": "w:gz", ".tar.xz": "w:xz", ".tar.zst": "zst"}


def write_zip(path: Path, members: Mapping[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def write_tar(path: Path, members: Mapping[str, bytes], mode: str) -> Path:
    """A tar, packed as ``tarfile`` names it (``w:xz``), or with ``zst``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if mode == "zst":
        path.write_bytes(zstandard.compress(write_tar(path, members, "w:").read_bytes()))
        return path
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def fixture_mirror(
    folder: Path, names: Iterable[str] | None = None, *, backwards: bool = False, stored: bool = False
) -> Path:
    """A mirror folder of the fixtures of these sources (all by default).

    A folder of a fixture that is called like an archive becomes one; ``records`` becomes the archive that
    the source reads. Everything else is copied. ``backwards`` turns the order of archives' members round,
    ``stored`` leaves those of zips uncompressed.
    """
    for name in [source.name for source in SOURCES] if names is None else names:
        for file in sorted(path for path in (FIXTURES / name).rglob("*") if path.is_file()):
            parts = file.relative_to(FIXTURES / name).parts
            if file.name != "expected.json" and not any(map(_archive, parts[:-1])):
                (to := folder / name / Path(*parts)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, to)
        for place in sorted(path for path in (FIXTURES / name).rglob("*") if path.is_dir()):
            if ending := _archive(place.name):
                to = folder / name / place.relative_to(FIXTURES / name)
                if place.name == "records":
                    to = folder / source_named(name).patterns[0][0]
                    ending = _archive(to.name)
                files = sorted((path for path in place.rglob("*") if path.is_file()), reverse=backwards)
                members = {path.relative_to(place).as_posix(): path.read_bytes() for path in files}
                if ending == ".zip":
                    write_zip(to, members, compression=zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)
                else:
                    write_tar(to, members, _ARCHIVES[ending])
    return folder


def _archive(name: str) -> str:
    """The ending that makes a folder's name an archive's; empty for other folders."""
    if name == "records":
        return ".zip"
    return next((ending for ending in sorted(_ARCHIVES, reverse=True) if name.endswith(ending)), "")


def said(item: AffectedRange) -> str:
    """A range as a line: ``[1.0, 1.4) fixed``."""
    closing = "]" if item.flags & RangeFlag.INCLUSIVE else ")"
    words = [f"[{item.lower}, {item.upper}{closing}"]
    if item.flags & RangeFlag.FIXED:
        words.append("fixed")
    if item.flags & RangeFlag.INEXACT:
        words.append("inexact")
    if item.status is not Status.AFFECTED:
        words.append(item.status.value)
    for name in ("arch", "module", "repository", "channel", "notice"):
        if text := getattr(item, name):
            words.append(f"{name}={text}")
    if item.severity.rank:
        words.append(item.severity.value)
    return " ".join(words)


def heard(source: Source, mirror: Path, *, facts_only: bool = False) -> dict[str, object]:
    """All that a feed makes of a mirror folder, as JSON would hold it."""
    notes = Notes()
    advisories: dict[str, dict[str, str]] = {}
    affected: dict[str, list[str]] = {}
    facts: dict[str, object] = {}
    files = Files(Mirror(mirror).files(source))
    for first, second in source.feed.read(files, source.name, notes, facts_only=facts_only):
        if isinstance(first, Advisory):
            assert first.source == source.name
            # Said again in another file it may be, of other packages; the newest words stay (``build.merge``).
            known = advisories.get(first.id)
            if known is None or known.get("modified", "") <= first.modified:
                advisories[first.id] = msgspec.to_builtins(first)
            for one in second:
                where = f"{one.namespace} {one.name} {first.id}"
                assert where not in affected, "an advisory spoke of a package twice"
                affected[where] = [said(item) for item in one.ranges]
        else:
            facts[first] = msgspec.to_builtins(second)
    result: dict[str, object] = {
        "read": notes.read,
        "spoilt": notes.examples,
        "dropped": dict(notes.dropped),
        "newest": notes.newest,
        "affected": affected,
        "advisories": advisories,
        "facts": facts,
    }
    return json.loads(json.dumps(result, sort_keys=True))
