"""Yarn's ``yarn.lock``: version 1 (a format of its own) and those of Yarn 2 and later ("berry", YAML).

Neither says which packages are for development only. What a local patch changed is listed as what it was made
from, which berry's file names besides. It must not know whether anything is installed.
"""

from __future__ import annotations

import re
from itertools import chain

from redoubt.indexer.catalogers import lockfiles, npm_names, yamllines
from redoubt.indexer.catalogers.fields import Findings, lines
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_FIELD = re.compile(r' {2}(version|resolved) "([^"\\]*)"').fullmatch
_BERRY = "__metadata:"
_FIRST_LINE = "# yarn lockfile v1"
#: Folders of the application's own.
_OWN = ("file:", "link:", "portal:", "workspace:")


class YarnLockCataloger:
    """``yarn.lock``, but for those inside of installed packages."""

    name = "yarn-lock"
    version = 1
    wanted = Wanted(names=frozenset({b"yarn.lock"}), max_size=32 << 20, declared=True)

    def accepts(self, path: bytes) -> bool:
        """Whether the file is an application's."""
        return lockfiles.counts(path)

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every package but those of the application's own folders."""
        found = Findings()
        text = content.all().decode("utf-8", "replace")
        if f"\n{_BERRY}" in text or text.startswith(_BERRY):
            _berry(text, found)
        else:
            _first(text, found)
        return found.catalog()


def _first(text: str, found: Findings) -> None:
    asked, fields = "", {"version": "", "resolved": ""}
    known = False
    for raw in chain(lines(text), ("end:",)):
        line = raw.rstrip("\r")
        known = known or line == _FIRST_LINE
        if line[:1] not in ("", " ", "#") and line.endswith(":"):
            if asked:
                _add_first(asked, fields["version"], fields["resolved"], found)
            asked, fields = line[:-1].partition(",")[0].strip('"'), {"version": "", "resolved": ""}
        elif field := _FIELD(line):
            fields[field[1]] = field[2]
        if found.full:
            return
    if not known:
        found.damaged("not as Yarn writes it; packages may be missing")


def _add_first(asked: str, version: str, resolved: str, found: Findings) -> None:
    name, wish = npm_names.split(asked)
    if wish.startswith(_OWN) and not resolved:
        return
    if wish.startswith("npm:"):
        name, _ = npm_names.split(wish[4:])
    npm_names.add(found, name, version, registry=npm_names.from_registry(resolved))


def _berry(text: str, found: Findings) -> None:
    for line in yamllines.pairs(text):
        if line.indent != 2 or line.key != "resolution":
            continue
        name, place = npm_names.split(line.value)
        if place.startswith("npm:"):
            npm_names.add(found, name, place[4:].partition("::")[0], registry=True)
        elif not place.startswith((*_OWN, "patch:", "virtual:")):
            npm_names.add(found, name, "", registry=False)
        if found.full:
            return
