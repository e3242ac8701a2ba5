"""What the matcher needs of definitions: a few questions, asked by name. It must not know how they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from redoubt.model import Advisory, AffectedRange, CveRecord, DefinitionsInfo, Epss


class Snapshot(Protocol):
    """Definitions, opened for reading. Answers never change while it is open."""

    @property
    def info(self) -> DefinitionsInfo:
        """Which definitions these are, and the namespaces that they hold."""

    def affected(self, namespace: str, name: str) -> Sequence[tuple[str, tuple[AffectedRange, ...]]]:
        """``(ref, ranges)`` of each advisory that speaks of a package; ``name`` normalised."""

    def undecoded(self, namespace: str, name: str) -> Sequence[bytes]:
        """The same as it is kept: equal bytes say the same, and texts stand in them as UTF-8. ``decoded`` tells what."""

    def decoded(self, stored: Sequence[bytes]) -> Sequence[tuple[str, tuple[AffectedRange, ...]]]:
        """``(ref, ranges)`` of each of some that ``undecoded`` gave."""

    def parted(self, stored: Sequence[bytes]) -> Sequence[tuple[str, bytes]]:
        """The ref of each of some that ``undecoded`` gave, and its ranges as they are kept."""

    def ranges(self, stored: bytes) -> tuple[AffectedRange, ...]:
        """The ranges that are kept so."""

    def advisory(self, ref: str) -> Advisory | None:
        """The advisory ``source/id``."""

    def cve(self, identifier: str) -> CveRecord | None:
        """What is known about a CVE whichever package it is in."""

    def epss(self, identifier: str) -> Epss | None:
        """A CVE's EPSS score."""

    def end_of_life(self, release: str) -> str:
        """From when a release (``namespaces.lifecycle``) is no longer looked after; empty if not known."""

    def mapped(self, kind: str, name: str) -> tuple[str, ...]:
        """What a name in images stands for (``model.Mapped``); nothing where that is not known."""
