"""Packages of smaller worlds that are installed a folder each: R's, LuaRocks' and Conda's.

None has advisories that go by these names: they are listed, not judged. Python packages in a Conda environment are
judged by their own metadata, which the ``python`` cataloger reads.
"""

from __future__ import annotations

import re

import msgspec

from redoubt.indexer.catalogers.documents import decoded, word
from redoubt.indexer.catalogers.fields import MAX_FIELD, Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_HEAD = 1 << 16
_PACKAGE = re.compile(rb"^Package:[ \t]*(\S{1,200})", re.MULTILINE).search
_VERSION = re.compile(rb"^Version:[ \t]*(\S{1,100})", re.MULTILINE).search
_ROCK = re.compile(
    r"(?:^|/)luarocks/rocks[^/]*/([^/]+)/([0-9][^/]*|scm[^/]*|dev[^/]*)/[^/]+\.rockspec$"
).search
_USER = re.compile(r"(?<=://)[^/@]*@|(?<=/t/)[^/]+")


class RCataloger:
    """``DESCRIPTION`` of packages in R's libraries."""

    name = "r"
    version = 1
    wanted = Wanted(names=frozenset({b"DESCRIPTION"}), max_size=1 << 20)

    def accepts(self, path: bytes) -> bool:
        """Whether the file lies in a folder directly below a library."""
        return path.rpartition(b"/")[0].rpartition(b"/")[0].endswith(b"library")

    def catalog(self, path: str, content: Content) -> Catalog:
        """The package. Without the field that R adds when it installs one (``Built``), it is only source."""
        found = Findings()
        head = content.read(0, _HEAD)
        if not head.startswith(b"Built:") and b"\nBuilt:" not in head:
            return found.catalog()
        name, version = _PACKAGE(head), _VERSION(head)
        if name and version and clean(name[1]):
            found.add("cran", clean(name[1]), clean(version[1]))
        else:
            found.damaged("no Package or no Version in it")
        return found.catalog()


class LuaRocksCataloger:
    """``luarocks/rocks-LUA/NAME/VERSION/NAME-VERSION.rockspec``: LuaRocks itself goes by the path."""

    name = "luarocks"
    version = 1
    wanted = Wanted(extensions=frozenset({b".rockspec"}), max_size=1 << 20)

    def accepts(self, path: bytes) -> bool:
        """Whether the file lies in a tree of installed rocks."""
        return _ROCK(path.decode("utf-8", "replace")) is not None

    def catalog(self, path: str, content: Content) -> Catalog:
        """The rock."""
        found = Findings()
        if match := _ROCK(path):
            found.add("luarocks", clean(match[1]), clean(match[2]))
        return found.catalog()


class _Conda(msgspec.Struct):
    name: object = ""
    version: object = ""
    channel: object = ""


_CONDA = msgspec.json.Decoder(_Conda)


class CondaCataloger:
    """``conda-meta/NAME-VERSION-BUILD.json`` of an environment."""

    name = "conda"
    version = 1
    wanted = Wanted(directories=frozenset({b"conda-meta"}), max_size=64 << 20)

    def accepts(self, path: bytes) -> bool:
        """Whether the file is a package's."""
        return path.endswith(b".json")

    def catalog(self, path: str, content: Content) -> Catalog:
        """The package, and the channel that it came from."""
        found = Findings()
        entry = decoded(_CONDA, content, found)
        if entry is None:
            return found.catalog()
        name, version = word(entry.name), word(entry.version)
        channel = _USER.sub("", word(entry.channel))[:MAX_FIELD]
        if name and version:
            found.add("conda", name, version, repositories=(channel,) if channel else ())
        else:
            found.damaged("no name or no version in it")
        return found.catalog()
