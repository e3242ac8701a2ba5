"""Haskell's ``stack.yaml.lock`` and ``cabal.project.freeze``.

No definitions speak of Hackage's packages yet: they are listed, not judged. It must not know whether anything is
installed.
"""

from __future__ import annotations

import re

from redoubt.indexer.catalogers import lockfiles
from redoubt.indexer.catalogers.fields import Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_STACK = re.compile(r"[ -]{0,99}hackage: ([^\s@]{1,200})-([0-9][0-9.]{0,99})(?:@\S*)?").fullmatch
_CABAL = re.compile(r"(?:constraints:)?[ \t]*any\.([\w-]{1,200}) ==([0-9][0-9.]{0,99}),?").fullmatch


class HaskellCataloger:
    """The two files by their names."""

    name = "haskell"
    version = 1
    wanted = Wanted(
        names=frozenset({b"stack.yaml.lock", b"cabal.project.freeze"}), max_size=8 << 20, declared=True
    )

    def accepts(self, path: bytes) -> bool:
        """Whether the file is an application's."""
        return lockfiles.counts(path)

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every package with a version."""
        found = Findings()
        stack = path.endswith(".lock")
        pattern, known = (_STACK, "packages:") if stack else (_CABAL, "constraints:")
        text = content.all().decode("utf-8", "replace")
        if known not in text:
            found.damaged("not as Stack or Cabal writes it; packages may be missing")
        for line in text.split("\n"):
            if match := pattern(line.strip()):
                found.add("hackage", clean(match[1]), clean(match[2]))
            if found.full:
                break
        return found.catalog()
