"""Bundler's ``Gemfile.lock`` and ``gems.locked``: the gems that an application was resolved to.

The format is Bundler's own (``Bundler::LockfileParser``): sections by source, and in each, four blanks deep,
``NAME (VERSION)`` or ``NAME (VERSION-PLATFORM)``. It must not know whether the gems are installed.
"""

from __future__ import annotations

import re

from redoubt.indexer.catalogers.fields import Findings, clean, shown
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

#: A lock file inside of an installed gem is its author's, and says nothing of here.
_INSIDE_A_GEM = re.compile(rb"(?:^|/)(?:gems/[^/]+-[0-9][^/]*|bundler/gems/[^/]+-[0-9a-f]{7,40})/")
#: No version has a dash: what follows one is a platform.
_GEM = re.compile(r" {4}([^\s()]+) \(([^\s()-]+)(?:-[^\s()]+)?\)!?").fullmatch
_SERVER, _OWN = "GEM", "PATH"
_SOURCES = frozenset({_SERVER, "GIT", _OWN, "PLUGIN SOURCE"})
_OTHERS = frozenset({"PLATFORMS", "DEPENDENCIES", "CHECKSUMS", "RUBY VERSION", "BUNDLED WITH"})


class GemfileCataloger:
    """``Gemfile.lock`` and ``gems.locked``, but for those inside of installed gems."""

    name = "gemfile"
    version = 1
    wanted = Wanted(names=frozenset({b"Gemfile.lock", b"gems.locked"}), max_size=16 << 20, declared=True)

    def accepts(self, path: bytes) -> bool:
        """Whether the file is an application's, and not one that came inside of a gem."""
        return _INSIDE_A_GEM.search(path) is None

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every gem but those of the application's own folders."""
        found = Findings()
        section = ""
        specs = strange = False
        for line in content.all().decode("utf-8", "replace").split("\n"):
            line = line.rstrip("\r")  # git may have changed the line ends
            if line[:1].strip():
                section = line
                specs = False
                strange = strange or (line not in _SOURCES and line not in _OTHERS)
            elif line == "  specs:":
                specs = section in _SOURCES
            elif specs and line.startswith("    ") and line[4:5].strip():
                _add(section, line, found)
            if found.full:
                break
        if strange or not section:
            found.damaged("not as Bundler writes it; packages may be missing")
        return found.catalog()


def _add(section: str, line: str, found: Findings) -> None:
    gem = _GEM(line)
    if gem is None:
        found.damaged(f"a gem without a name or a version: {shown(line)!r}")
    elif section != _OWN:
        # Advisories speak of what gem servers give: the same name from a repository has its own versions.
        found.add("gem", clean(gem[1]), clean(gem[2]) if section == _SERVER else "")
