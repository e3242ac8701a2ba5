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
