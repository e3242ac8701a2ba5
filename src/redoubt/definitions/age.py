"""How old definitions are, from an explicit ``now``. Pure; no clock is read here.

Definitions are as old as their newest record, not as their bundle: one built today from an old mirror is
old. Scores don't count, where there is anything else: every one of them changes every day. A record dated after the bundle was built is taken to be as old as the bundle, since nobody can know
tomorrow's flaws and one wrong date must not make everything look fresh.
"""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta

import msgspec

from redoubt.model import DefinitionsInfo

NOTICE = timedelta(hours=24)
WARN = timedelta(days=5)

#: Clocks may differ by this much before it is said.
_SKEW = timedelta(hours=1)


class Level(enum.StrEnum):
    """How much is to be said about the age of definitions."""

    FRESH = "fresh"
    NOTICE = "notice"
    WARNING = "warning"


class SourceAge(msgspec.Struct, frozen=True, kw_only=True):
    """A source's newest record (RFC 3339 as it has it) and its age; None where it carries no dates."""

    name: str
    newest: str
    age: timedelta | None


class Age(msgspec.Struct, frozen=True, kw_only=True):
    """``age`` is that of the newest record of all sources, never negative; None where it is unknown.

    ``message`` is one line for people, whatever the ``level``.
    """

    level: Level
    age: timedelta | None
    newest: str
    message: str
    sources: tuple[SourceAge, ...] = ()

    @property
    def stale(self) -> bool:
        """Whether this is what ``--fail-on-stale`` fails on."""
        return self.level is Level.WARNING


def judge(info: DefinitionsInfo, now: datetime, *, notice: timedelta = NOTICE, warn: timedelta = WARN) -> Age:
    """Judge the age of definitions at ``now`` (with a time zone).

    Older than ``notice`` is a notice, older than ``warn`` a warning; so is an age that cannot be known.
    """
    now = now.astimezone(UTC)
    created = _instant(info.created)
    scores = all(source.scores_only for source in info.sources)
    known: list[datetime] = []
    sources = []
    for source in info.sources:
        newest = _instant(source.newest)
        if newest is not None:
            newest = min(newest, created) if created else newest
            if scores or not source.scores_only:
                known.append(newest)
        sources.append(
            SourceAge(
                name=source.name,
                newest=source.newest,
                age=max(now - newest, timedelta()) if newest else None,
            )
        )
    if not known:
        return Age(
            level=Level.WARNING,
            age=None,
            newest="",
            message="the age of these definitions is unknown (no record has a date); import a dated bundle",
            sources=tuple(sources),
        )
    newest = max(known)
    text = newest.strftime("%Y-%m-%dT%H:%M:%SZ")
    ahead = max(newest, created or newest) - now
    if ahead > _SKEW:
        return Age(
            level=Level.WARNING,
            age=timedelta(),
            newest=text,
            message=(
                f"definitions are dated {_span(ahead)} after this machine's clock ({now:%Y-%m-%d %H:%M} UTC), "
                "so their age is unknown; set the clock"
            ),
            sources=tuple(sources),
        )
    age = max(now - newest, timedelta())
    level = Level.WARNING if age > warn else Level.NOTICE if age > notice else Level.FRESH
    advice = "" if level is Level.FRESH else "; import a newer bundle"
    return Age(
        level=level,
        age=age,
        newest=text,
        message=f"definitions are {_span(age)} old (newest record {newest:%Y-%m-%d}){advice}",
        sources=tuple(sources),
    )


def since(text: str, now: datetime) -> str:
    """How long ago a time (RFC 3339) was, for people: ``3 days``; empty where it is none."""
    instant = _instant(text) if text else None
    return _span(now - instant) if instant else ""


def _instant(text: str) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
        return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _span(span: timedelta) -> str:
    if span >= timedelta(days=2):
        return f"{span.days} days"
    hours = int(span.total_seconds() // 3600)
    if hours >= 1:
        return f"{hours} hour{'s' if hours > 1 else ''}"
    return "less than an hour"
