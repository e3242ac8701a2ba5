"""pnpm's ``pnpm-lock.yaml``, in versions 5 to 9.

A package's key has its name and version: ``/name/1.0.0_peer`` in version 5, ``/name@1.0.0(peer)`` in 6, and
``name@1.0.0`` from 9 on, where ``snapshots`` say what each package needs. What is for development only is marked up
to version 6; later it is what no other dependency of the application leads to. Whether anything is installed
is not known here.
"""

from __future__ import annotations

import re

from redoubt.indexer.catalogers import lockfiles, npm_names, yamllines
from redoubt.indexer.catalogers.fields import MAX_PACKAGES, Findings
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted
from redoubt.indexer.catalogers.yamllines import Line

_TARBALL = re.compile(r"tarball: *'?([^\s,}']+)").search
_USED = ("dependencies", "optionalDependencies")


class PnpmLockCataloger:
    """``pnpm-lock.yaml``, but for those inside of installed packages."""

    name = "pnpm-lock"
    version = 1
    wanted = Wanted(names=frozenset({b"pnpm-lock.yaml"}), max_size=32 << 20, declared=True)

    def accepts(self, path: bytes) -> bool:
        """Whether the file is an application's."""
        return lockfiles.counts(path)

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every package but those of the application's own folders and those for development only."""
        found = Findings()
        reader = _Reader(found)
        for line in yamllines.pairs(content.all().decode("utf-8", "replace")):
            reader.line(line)
            if found.full:
                break
        reader.finish()
        return found.catalog()


class _Reader:
    """Takes the file's lines one by one."""

    def __init__(self, found: Findings) -> None:
        self._found = found
        self._form = ""
        self._section = self._entry = self._group = self._name = ""
        self._fields: dict[str, str] = {}
        self._packages: list[tuple[str, str, bool]] = []  # name, version, from a registry
        self._start: list[str] = []
        self._needs: dict[str, list[str]] = {}

    def line(self, line: Line) -> None:
        """The next line of the file."""
        if line.indent == 0:
            self._package()
            self._section = line.key
            if line.key == "lockfileVersion":
                self._form = line.value
        elif self._section == "packages":
            if line.indent == 2:
                self._package()
                self._entry, self._fields = line.key, {}
            elif line.indent == 4:
                self._group = line.key
                self._fields[line.key] = line.value
            elif line.indent == 6 and self._group == "resolution" and line.key in ("tarball", "type"):
                self._fields[f"resolution {line.key}"] = f" {line.key}: {line.value},"
        elif self._section == "importers":
            self._importer(line)
        elif self._section == "snapshots":
            if line.indent == 2:
                self._entry = _bare(line.key)
            elif line.indent == 4:
                self._group = line.key
            elif line.indent == 6 and self._group in _USED:
                self._needs.setdefault(self._entry, []).append(_key(line.key, line.value))

    def finish(self) -> None:
        """The end of the file: only now is it known what is for development only."""
        self._package()
        if not self._form:
            self._found.damaged("not as pnpm writes it; packages may be missing")
        used = lockfiles.reached(self._start, self._needs) if self._needs or self._start else None
        for name, version, registry in self._packages:
            if used is None or self._form[:1] in "56" or f"{name}@{version}" in used:
                npm_names.add(self._found, name, version, registry=registry)

    def _importer(self, line: Line) -> None:
        if line.indent == 4:
            self._group = line.key
        elif line.indent == 6:
            self._name = line.key
        elif line.indent == 8 and line.key == "version" and self._group in _USED:
            self._start.append(_key(self._name, line.value))

    def _package(self) -> None:
        key, fields = self._entry, self._fields
        self._entry, self._fields = "", {}
        if self._section != "packages" or not key or fields.get("dev") == "true":
            return
        parts = ("resolution", "resolution tarball", "resolution type")
        resolution = "".join(fields.get(part, "") for part in parts)
        if "type: directory" in resolution or len(self._packages) > MAX_PACKAGES:
            return
        if self._form.startswith("5"):
            name, _, version = key.lstrip("/").rpartition("/")
            version = version.partition("_")[0]
        else:
            name, version = npm_names.split(_bare(key).lstrip("/"))
        tarball = _TARBALL(resolution)
        registry = ":" not in version and "type: git" not in resolution
        registry = registry and npm_names.from_registry(tarball[1] if tarball else "")
        if not registry and fields.get("name"):
            name, version = fields["name"], key
        self._packages.append((name, version, registry))


def _bare(key: str) -> str:
    """A key without what fills its peers' places."""
    return key.partition("(")[0]


def _key(name: str, version: str) -> str:
    """The key of a dependency: an alias has the other package's whole key for its version."""
    bare = _bare(version)
    whole = bare.find("@", 1) > 0 and ":" not in bare.partition("@")[0]
    return bare if whole else f"{name}@{bare}"
