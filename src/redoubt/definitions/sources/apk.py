"""The sources about distributions of apk packages."""

from __future__ import annotations

from collections.abc import Iterable

from redoubt.definitions.feeds.secdb import SecdbFeed, alpine_namespace, alpine_page, wolfi_page
from redoubt.definitions.sources.interface import Download, Source

#: The Alpine releases that ``--online`` asks for; others in a mirror folder are read as well.
ALPINE_RELEASES = (*(f"v3.{minor}" for minor in range(10, 24)), "edge")


def alpine(releases: Iterable[str] = ALPINE_RELEASES) -> Source:
    """The Alpine source, fetching the releases named (``v3.20``, ``edge``)."""
    return Source(
        name="alpine",
        title="Alpine Linux security database",
        home="https://secdb.alpinelinux.org/",
        licence="published without a licence of its own",
        attribution="Alpine Linux security database, by the Alpine Linux developers",
        feed=SecdbFeed(alpine_namespace, alpine_page),
        downloads=tuple(
            Download(
                f"alpine/{release}/{repository}.json",
                f"https://secdb.alpinelinux.org/{release}/{repository}.json",
            )
            for release in releases
            for repository in ("main", "community")
        ),
        patterns=(("alpine/*/main.json", "alpine/*/community.json"),),
        limit=64 << 20,
    )


SOURCES: tuple[Source, ...] = (
    alpine(),
    Source(
        name="wolfi",
        title="Wolfi security feed",
        home="https://packages.wolfi.dev/os/security.json",
        licence="CC-BY-NC-ND-4.0, or Chainguard's licence for commercial scanners",
        attribution="Wolfi security advisories, by Chainguard",
        feed=SecdbFeed(lambda _: "wolfi", wolfi_page),
        downloads=(Download("wolfi/security.json", "https://packages.wolfi.dev/os/security.json"),),
        patterns=(("wolfi/security.json",),),
        limit=256 << 20,
    ),
)
