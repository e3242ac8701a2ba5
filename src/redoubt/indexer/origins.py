"""Which repository a package of the system came from, where its package manager wrote that down beside its database.

It must not know any package manager, nor what a repository's name means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from redoubt.model import Package

_EPOCH = re.compile(r"\d+:")


class Origin(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """That the package of this type, name, version (without an epoch) and architecture came from ``repository``."""

    type: str
    name: str
    version: str
    arch: str
    repository: str


class Origins:
    """What all files in sight say of where packages came from."""

    def __init__(self, origins: Iterable[Origin]) -> None:
        self._repositories: dict[tuple[str, str, str, str], set[str]] = {}
        for origin in origins:
            key = (origin.type, origin.name, origin.version, origin.arch)
            self._repositories.setdefault(key, set()).add(origin.repository)

    def told(self, package: Package) -> Package:
        """The package with its repositories, where it says none itself and somebody wrote them down."""
        if not self._repositories or package.repositories:
            return package
        version = _EPOCH.sub("", package.version, count=1)
        found = self._repositories.get((package.type, package.name, version, package.arch))
        return msgspec.structs.replace(package, repositories=tuple(sorted(found))) if found else package
