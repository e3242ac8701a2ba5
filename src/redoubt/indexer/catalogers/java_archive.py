"""Walks one Java archive and the archives inside it, within limits, and names what it finds.

It must not know which names archives have on disk (``java``) or what an artifact is called
(``java_names``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.indexer.catalogers import java_names
from redoubt.indexer.catalogers.fields import Findings, clean, shown
from redoubt.indexer.catalogers.interface import Content
from redoubt.indexer.catalogers.java_names import Coordinates
from redoubt.indexer.catalogers.ziparchive import Member, ZipArchive
from redoubt.model import ProblemKind

if TYPE_CHECKING:
    from redoubt.indexer.java_index import JavaIndex

#: Archives in archives in archives: real ones (ear, war, jar, native jar) end at 4.
MAX_DEPTH = 8
#: Archives read for one file, nested ones included.
MAX_ARCHIVES = 20_000
#: Bytes of directories read for one file: what bounds time where nesting costs no space.
MAX_DIRECTORIES = 256 << 20
#: Bytes inflated for the nested archives of one file: this, or a multiple of the file's own size.
MAX_INFLATED = 512 << 20
MAX_INFLATED_RATIO = 10
#: Longest path of a nested archive, in characters.
MAX_PATH = 4096

_SMALLEST_ZIP = 22
_PIECE = 1 << 20
_MAX_PROPERTIES = 64 << 10
_MANIFEST_HEAD = 16 << 10
_MAX_MANIFEST = 4 << 20
_MANIFEST = b"META-INF/MANIFEST.MF"
_POM = (b"/pom.properties", b"/pom.xml")
_MAVEN = b"META-INF/maven/"


class ArchiveWalk:
    """One file's walk: what was found, and what may still be spent on it."""

    def __init__(
        self, found: Findings, size: int, extensions: frozenset[bytes], index: JavaIndex | None = None
    ) -> None:
        self._found = found
        self._index = index
        self._archives = MAX_ARCHIVES
        self._directories = MAX_DIRECTORIES
        self._inflated = max(MAX_INFLATED, size * MAX_INFLATED_RATIO)
        self._suffixes = tuple(extensions)
        self._endings = (*_POM, *self._suffixes)

    def visit(self, path: str, content: Content, depth: int = 0) -> None:
        """Name the archive at ``path`` and everything in it. Trouble becomes a problem, what was read stays."""
        inside = "" if depth == 0 else path
        try:
            self._archives -= 1
            archive = ZipArchive(content)
            self._directories -= archive.directory_size
            if self._archives < 0 or self._directories < 0:
                raise LimitExceeded("too much is nested in this file; the rest is not read")
        except LimitExceeded as error:
            self._found.problem(ProblemKind.LIMIT, _at(inside, error))
            return
        except UnreadableInput as error:
            self._found.damaged(_at(inside, error))
            return
        members = self._members(archive, inside)
        self._name(archive, members, path, inside, content)
        for member in members:
            if self._archives < 0 or self._directories < 0:
                return  # said where it happened
            if member.name.lower().endswith(self._suffixes) and member.size >= _SMALLEST_ZIP:
                self._nested(archive, member, path, depth)

    def _wanted(self, name: bytes) -> bool:
        # Nearly every member is a class or a folder.
        if name.endswith((b".class", b"/")):
            return False
        return name == _MANIFEST or name.lower().endswith(self._endings)

    def _members(self, archive: ZipArchive, inside: str) -> list[Member]:
        members: list[Member] = []
        try:
            members.extend(archive.members(self._wanted))
        except UnreadableInput as error:
            self._found.damaged(_at(inside, error))
        end = -1
        apart: set[Member] = set()
        for member in sorted(members, key=lambda member: member.place):
            if member.place < end:
                apart.add(member)
            end = max(end, member.place + member.packed)
        if apart:
            self._found.problem(
                ProblemKind.HOSTILE, _at(inside, f"{len(apart):,} members overlap others; they are not read")
            )
        return [member for member in members if member not in apart]

    def _name(
        self, archive: ZipArchive, members: list[Member], path: str, inside: str, content: Content
    ) -> None:
        poms = list(self._properties(archive, members, inside))
        for pom in poms:
            self._found.add("maven", pom.name, pom.version, location=inside)
        manifest = next((member for member in members if member.name == _MANIFEST), None)
        attributes: dict[str, str] = {}
        if manifest is not None:
            data = self._read(archive, manifest, _MANIFEST_HEAD, inside)
            if len(data) == _MANIFEST_HEAD and b"\n\n" not in data and b"\r\n\r\n" not in data:
                data = self._read(archive, manifest, _MAX_MANIFEST, inside)
            attributes = java_names.main_section(data)
        own = java_names.of_manifest(attributes, path)
        if _is_one_of(own, poms):
            return
        for member in members:
            group, artifact = java_names.of_pom_path(clean(member.name))
            if artifact and java_names.same_artifact(artifact, own.artifact):
                own = Coordinates(group, artifact, own.version)
                break
        else:
            if self._index and not java_names.is_placed(path) and (known := self._index.find(_sha1(content))):
                self._found.add("maven", clean(known.name), clean(known.version), location=inside)
                return
        if manifest or own.version:
            self._found.add("maven", own.name, own.version, location=inside)

    def _properties(self, archive: ZipArchive, members: list[Member], inside: str) -> Iterator[Coordinates]:
        for member in members:
            if member.name.endswith(_POM[0]) and _MAVEN in member.name:
                data = self._read(archive, member, _MAX_PROPERTIES, inside)
                pom = java_names.of_properties(data, clean(member.name))
                if data and pom.artifact:
                    yield pom

    def _read(self, archive: ZipArchive, member: Member, limit: int, inside: str) -> bytes:
        try:
            return archive.read(member, limit)
        except UnreadableInput as error:
            self._found.damaged(_at(inside, f"{shown(member.name)}: {error}"))
            return b""

    def _nested(self, archive: ZipArchive, member: Member, path: str, depth: int) -> None:
        inner = f"{path}!/{clean(member.name)}"
        try:
            if depth + 1 >= MAX_DEPTH:
                raise LimitExceeded(f"archives are nested more than {MAX_DEPTH} deep; the rest is not read")
            if len(inner) > MAX_PATH:
                raise LimitExceeded(f"the path of a nested archive is longer than {MAX_PATH:,} characters")
            if member.method:
                self._inflated -= member.size
                if self._inflated < 0:
                    raise LimitExceeded("nested archives inflate to too much; the rest is not read")
            with archive.open(member) as content:
                self.visit(inner, content, depth + 1)
        except LimitExceeded as error:
            self._found.problem(ProblemKind.LIMIT, _at(inner, error))
        except UnreadableInput as error:
            self._found.damaged(_at(inner, error))


def _sha1(content: Content) -> bytes:
    digest = hashlib.sha1(usedforsecurity=False)
    for at in range(0, content.size, _PIECE):
        digest.update(content.read(at, _PIECE))
    return digest.digest()


def _is_one_of(own: Coordinates, poms: list[Coordinates]) -> bool:
    """Whether a pom.properties already speaks for the archive itself and not for something shaded into it."""
    whole = f"{own.artifact}-{own.version}"
    if any(java_names.same_artifact(pom.artifact, name) for pom in poms for name in (own.artifact, whole)):
        return True
    # A renamed archive (app.jar) with one pom: its own, if nothing contradicts the version. A bundle's
    # version is padded to three numbers.
    return len(poms) == 1 and own.version in ("", poms[0].version, f"{poms[0].version}.0")


def _at(inside: str, error: object) -> str:
    return f"{inside}: {error}" if inside else str(error)
