"""What Central answers, as much of it as roxctl shows. Every field may be missing: other versions say less."""

from __future__ import annotations

import msgspec


class Source(msgspec.Struct, frozen=True):
    """One source of definitions. ``newest`` is the date of its newest record."""

    name: str = ""
    newest: str = ""
    records: int = 0
    state: str = ""
    detail: str = ""
    scores_only: bool = False


class Became(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an upload or a rollback made active."""

    digest: str
    channel: str = ""
    version: int = 0
    created: str = ""
    unsigned: bool = False
    already_active: bool = False
    older: bool = False
    previous: str = ""
    records: int = 0
    sources: tuple[Source, ...] = ()
    passed_over: tuple[str, ...] = ()
    changed: Differs | None = None


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot on Central's shelf."""

    digest: str = ""
    channel: str = ""
    version: int = 0
    created: str = ""
    imported: str = ""
    active: bool = False
    unsigned: bool = False


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """``/v1/definitions``. ``active`` is None where there never were any; ``problem``: why this replica lacks them."""

    active: Became | None = None
    shelf: tuple[Kept, ...] = ()
    uploading: bool = False
    problem: str = ""


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """A change of what is active. ``by``: who saw to it."""

    time: str = ""
    action: str = ""
    digest: str = ""
    channel: str = ""
    version: int = 0
    previous: str = ""
    unsigned: bool = False
    by: str = ""


class History(msgspec.Struct, frozen=True):
    """Newest first."""

    events: tuple[Happened, ...] = ()


class Counts(msgspec.Struct, frozen=True):
    """How many of something appeared, changed and vanished."""

    appeared: int = 0
    changed: int = 0
    vanished: int = 0


class Group(Counts, frozen=True, kw_only=True):
    """Of one source's advisories of one severity."""

    source: str = ""
    severity: str = ""


class Differs(msgspec.Struct, frozen=True, kw_only=True):
    """What lies between two snapshots."""

    old: str = ""
    new: str = ""
    advisories: Counts = Counts()
    cves: Counts = Counts()
    scores: Counts = Counts()
    packages: int = 0
    groups: tuple[Group, ...] = ()


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """A root that is trusted for a channel, or (``unsigned``) a channel that needs none."""

    channel: str = ""
    fingerprint: str = ""
    version: int = 0
    expires: str = ""
    builtin: bool = False
    unsigned: bool = False


class Roots(msgspec.Struct, frozen=True):
    """By channel."""

    roots: tuple[Root, ...] = ()
