"""Mirror folders made of the fixtures, and feeds' records as text that a person can check."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from redoubt.definitions.feeds.files import Files
from redoubt.definitions.feeds.interface import Notes
from redoubt.definitions.mirror import Mirror
from redoubt.definitions.sources import SOURCES, Source
from redoubt.model import Advisory, AffectedRange, RangeFlag, Status
from support.data import ROOT

FIXTURES = ROOT / "tests" / "unit" / "definitions" / "fixtures"


def source_named(name: str) -> Source:
    return next(source for source in SOURCES if source.name == name)


def write_zip(path: Path, members: Mapping[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def fixture_mirror(
    folder: Path, names: Iterable[str] | None = None, *, backwards: bool = False, stored: bool = False
) -> Path:
    """A mirror folder of the fixtures of these sources (all by default).

    ``backwards`` turns the order of archives' members round, ``stored`` leaves them uncompressed.
    """
    for name in [source.name for source in SOURCES] if names is None else names:
        if name.startswith("osv-"):
            records = sorted((FIXTURES / name / "records").glob("*.json"), reverse=backwards)
            write_zip(
                folder / source_named(name).patterns[0][0],
                {file.name: file.read_bytes() for file in records},
                compression=zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED,
            )
        else:
            ignored = shutil.ignore_patterns("expected.json")
            shutil.copytree(FIXTURES / name, folder / name, ignore=ignored, dirs_exist_ok=True)
    return folder


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
    for name in ("arch", "module", "repository", "channel"):
        if text := getattr(item, name):
            words.append(f"{name}={text}")
    if item.severity.rank:
        words.append(item.severity.value)
    return " ".join(words)


def heard(source: Source, mirror: Path, *, facts_only: bool = False) -> dict[str, object]:
    """All that a feed makes of a mirror folder, as JSON would hold it."""
    notes = Notes()
    advisories: dict[str, object] = {}
    affected: dict[str, list[str]] = {}
    facts: dict[str, object] = {}
    files = Files(Mirror(mirror).files(source))
    for first, second in source.feed.read(files, source.name, notes, facts_only=facts_only):
        if isinstance(first, Advisory):
            assert first.source == source.name
            assert first.id not in advisories, "an advisory came twice"
            advisories[first.id] = msgspec.to_builtins(first)
            for one in second:
                affected[f"{one.namespace} {one.name} {first.id}"] = [said(item) for item in one.ranges]
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
