"""Installed Ruby gems: the specifications that RubyGems writes when it installs one.

A ``.gemspec`` is Ruby, but an installed one is written by a program: its second line says name, version
and platform for programs that don't want to run it (``# stub:``, RubyGems 2.1 and later), and its first
statements assign them as plain strings. The platform is not kept: advisories don't know it, and a lock file
lists all of a gem's. It must not run anything, nor know about gems' own sources.
"""

from __future__ import annotations

import re

from redoubt.indexer.catalogers.fields import Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_INSTALLED = re.compile(rb"(?:^|/)specifications/(?:default/)?[^/]+\.gemspec$")
_HEAD = 1 << 16
_STUB = re.compile(rb"[^\n]*\n# stub: ([^\s#]+) ([^\s#]+)(?:[ \r\n]|$)").match
_TEXT = rb'(?:"([^"\\#\n]*)"|\'([^\'\\\n]*)\'|%q\{([^{}\\\n]*)\})'
_NAME = re.compile(rb"^[ \t]*\w{1,40}\.name = " + _TEXT, re.MULTILINE).search
_VERSION = re.compile(rb"^[ \t]*\w{1,40}\.version = (?:Gem::Version\.new\()?" + _TEXT, re.MULTILINE).search
_FILE = re.compile(r"(?:^|/)([^/]+?)-([0-9][0-9A-Za-z.]*)(?:-[^/]*)?\.gemspec$").search


class GemCataloger:
    """``specifications/*.gemspec`` and ``specifications/default/*.gemspec`` (what comes with Ruby itself)."""

    name = "gem"
    version = 1
    wanted = Wanted(extensions=frozenset({b".gemspec"}), max_size=16 << 20)

    def accepts(self, path: bytes) -> bool:
        """Whether this is the specification of an installed gem, and not one of its sources."""
        return _INSTALLED.search(path) is not None

    def catalog(self, path: str, content: Content) -> Catalog:
        """The gem: by its stub line as RubyGems does, else by what is assigned, else by the file's name."""
        found = Findings()
        head = content.read(0, _HEAD)
        if stub := _STUB(head):
            name, version = clean(stub[1]), clean(stub[2])
        else:
            name, version = _assigned(_NAME(head)), _assigned(_VERSION(head))
        if not (name and version):
            missing = "version" if name else "name"
            if match := _FILE(path):
                name, version = name or clean(match[1]), version or clean(match[2])
                found.damaged(f"no {missing} as plain text; the file's name was believed instead")
            else:
                found.damaged(f"no {missing} as plain text")
        if name:
            found.add("gem", name, version)
        return found.catalog()


def _assigned(match: re.Match[bytes] | None) -> str:
    return clean(match[match.lastindex or 0]) if match else ""
