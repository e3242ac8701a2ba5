"""The sources about distributions of deb packages."""

from __future__ import annotations

from redoubt.definitions.feeds.debian import DebianFeed
from redoubt.definitions.sources.interface import Download, Source

SOURCES: tuple[Source, ...] = (
    Source(
        name="debian",
        title="Debian security tracker",
        home="https://security-tracker.debian.org/",
        licence="published without a licence of its own",
        attribution="Debian security tracker, by the Debian security team",
        feed=DebianFeed(),
        downloads=(Download("debian/tracker.json", "https://security-tracker.debian.org/tracker/data/json"),),
        patterns=(
            ("debian/tracker.json",),
            ("debian/tracker.json.gz",),
            ("debian/json", "debian/json.gz"),
        ),
    ),
)
