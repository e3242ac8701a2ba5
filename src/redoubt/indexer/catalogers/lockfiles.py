"""What the readers of lock files have in common: which files count, and what is only for development.

A lock file inside of an installed package, a cache or somebody's documentation is its author's and says
nothing of the image. Whether what a lock file names is there is decided when all files are known
(``indexer.evidence``). It must not know any one format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

#: Folders that hold other people's packages, unpacked or cached.
_INSIDE = re.compile(
    rb"(?:^|/)(?:node_modules|site-packages|dist-packages|vendor|bower_components|registry/src|git/checkouts"
    rb"|pkg/mod|\.cache|\.npm|_cacache|\.pnpm-store|\.yarn|\.pub-cache|usr/share/(?:doc|nodejs)"
    rb"|usr/lib/(?:[a-z0-9_]+-linux-[a-z0-9_]+/)?nodejs|lib/python[0-9.]+|gems/[^/]+-[0-9][^/]*)/"
).search
#: What groups of dependencies are called that no installation for use has.
_DEVELOPMENT = frozenset(
    [
        "dev",
        "develop",
        "development",
        "test",
        "tests",
        "testing",
        "doc",
        "docs",
        "lint",
        "linting",
        "format",
        "typing",
        "types",
        "ci",
        "release",
    ]
)


def counts(path: bytes) -> bool:
    """Whether a lock file at this path may speak of the image."""
    return _INSIDE(path) is None


def for_development(groups: Iterable[str]) -> bool:
    """Whether all of a package's groups are for those who work on the application; not if it has none."""
    groups = {group.lower() for group in groups}
    return bool(groups) and groups <= _DEVELOPMENT


def reached(start: Iterable[str], needs: Mapping[str, Iterable[str]]) -> set[str]:
    """Everything that ``start`` needs, directly or not, and itself."""
    waiting = list(start)
    found = set(waiting)
    while waiting:
        new = set(needs.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return found
