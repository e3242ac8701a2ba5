"""Who owns whom: pods their replica sets, these their deployments. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator

#: Kubernetes' own chains have three links; a circle of owners ends here.
_DEEPEST = 8


class Owners:
    """Objects by UID, each with at most one owner that counts."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}
        self._children: dict[str, set[str]] = defaultdict(set)

    def put(self, identifier: str, owner: str) -> bool:
        """Who owns an object now (empty: nobody); whether that is another than before."""
        before = self._owners.get(identifier, "")
        if before == owner:
            return False
        if before:
            self._children[before].discard(identifier)
            if not self._children[before]:
                del self._children[before]
        if owner:
            self._owners[identifier] = owner
            self._children[owner].add(identifier)
        else:
            del self._owners[identifier]
        return True

    def top(self, identifier: str, known: Container[str]) -> str:
        """The first above an object, or itself, that is ``known``; empty where none is."""
        for _ in range(_DEEPEST):
            if identifier in known:
                return identifier
            if not (identifier := self._owners.get(identifier, "")):
                return ""
        return ""

    def beneath(self, identifier: str, depth: int = 0) -> Iterator[str]:
        """All that an object owns, and what these own."""
        for each in tuple(self._children.get(identifier, ())):
            yield each
            if depth < _DEEPEST:
                yield from self.beneath(each, depth + 1)
